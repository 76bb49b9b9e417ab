// npm livekit-client in headless Chromium watches one member. Arguments: JSON {modules, page, url, token, seconds}.
// Prints what it sees four times a second, one JSON object a line.
import { args, callPage, launchForCalls, say, sleep } from './chromium.mjs';

const browser = await launchForCalls(`--unsafely-treat-insecure-origin-as-secure=${args.page}`);
const page = await callPage(browser);
await page.evaluate(async ({ url, token }) => {
  const room = new window.LivekitClient.Room({ adaptiveStream: false, dynacast: false });
  room.on('trackSubscribed', (track) => {
    if (track.kind !== 'video') return;
    track.attach(document.getElementById('v'));
    window.video = track;
  });
  window.look = async () => {
    const reports = [...(await window.video?.receiver.getStats())?.values() ?? []];
    const seen = reports.find((report) => report.type === 'inbound-rtp');
    return seen && { width: seen.frameWidth, frames: seen.framesDecoded, freezes: seen.freezeCount, frozen: seen.totalFreezesDuration, lost: seen.packetsLost,
      nacks: seen.nackCount, bytes: seen.bytesReceived, delay: seen.jitterBufferDelay / seen.jitterBufferEmittedCount };
  };
  await room.connect(url, token);
}, { url: args.url, token: args.token });
say('joined');
const end = Date.now() + args.seconds * 1000;
while (Date.now() < end) {
  const seen = await page.evaluate(() => window.look());
  if (seen) say('look', seen);
  await sleep(250);
}
await browser.close();
process.exit(0);
