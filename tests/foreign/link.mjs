// npm livekit-client in headless Chromium watches one member, and publishes a simulcast camera when a line comes in.
// Arguments: JSON {modules, page, url, token, seconds}. Prints what it sees and sends four times a second, one JSON object a line.
import { args, callPage, launchForCalls, say, sleep } from './chromium.mjs';

const browser = await launchForCalls(`--unsafely-treat-insecure-origin-as-secure=${args.page}`, '--use-fake-ui-for-media-stream',
  '--use-fake-device-for-media-stream');
const page = await callPage(browser);
await page.evaluate(async ({ url, token }) => {
  const room = new window.LivekitClient.Room({ adaptiveStream: false, dynacast: false });
  room.on('trackSubscribed', (track) => {
    if (track.kind !== 'video') return;
    track.attach(document.getElementById('v'));
    window.video = track;
  });
  room.on('trackStreamStateChanged', (_publication, state) => window.say('stream_state', { state }));
  window.publish = () => room.localParticipant.setCameraEnabled(true, { resolution: { width: 640, height: 360, frameRate: 30 } },
    { videoCodec: 'vp8', simulcast: true });
  // Packets and repetitions of each layer.
  window.sent = async () => {
    const camera = room.localParticipant.getTrackPublication('camera')?.track;
    const reports = [...(await camera?.sender.getStats())?.values() ?? []].filter((report) => report.type === 'outbound-rtp');
    return reports.map((report) => ({ rid: report.rid, packets: report.packetsSent, repeated: report.retransmittedPacketsSent }));
  };
  window.look = async () => {
    const reports = [...(await window.video?.receiver.getStats())?.values() ?? []];
    const seen = reports.find((report) => report.type === 'inbound-rtp');
    return seen && { width: seen.frameWidth, frames: seen.framesDecoded, freezes: seen.freezeCount, frozen: seen.totalFreezesDuration, lost: seen.packetsLost,
      nacks: seen.nackCount, bytes: seen.bytesReceived, delay: seen.jitterBufferDelay / seen.jitterBufferEmittedCount,
      repaired: seen.retransmittedPacketsReceived };
  };
  await room.connect(url, token);
}, { url: args.url, token: args.token });
say('joined');
process.stdin.once('data', () => page.evaluate(() => window.publish()));
const end = Date.now() + args.seconds * 1000;
while (Date.now() < end) {
  const seen = await page.evaluate(() => window.look());
  if (seen) say('look', { ...seen, sent: await page.evaluate(() => window.sent()) });
  await sleep(250);
}
await browser.close();
process.exit(0);
