// livekit-client in headless Chromium over the path that it is left with: joins, publishes, counts the pictures that it shows, and
// tells which candidates carried them. Arguments: JSON {modules, page, url, token, seconds, flags}. Prints one JSON object a line.
import { args, callPage, launchForCalls, say } from './chromium.mjs';

const browser = await launchForCalls(...args.flags);
const page = await callPage(browser);
const verdict = await page.evaluate(async ({ url, token, seconds }) => {
  const LK = window.LivekitClient;
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
  const room = new LK.Room({ adaptiveStream: false, dynacast: false });
  const video = document.getElementById('v');
  room.on('trackSubscribed', (track) => { if (track.kind === 'video') track.attach(video); });
  await room.connect(url, token);
  window.say('joined');
  const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
  const draw = canvas.getContext('2d');
  let n = 0;
  setInterval(() => {
    draw.fillStyle = `hsl(${n % 360} 80% 50%)`;
    draw.fillRect(0, 0, 640, 360);
    n += 1;
  }, 33);
  await room.localParticipant.publishTrack(canvas.captureStream(30).getVideoTracks()[0],
    { source: 'camera', videoCodec: 'h264', simulcast: false });
  await sleep(seconds * 1000);
  const route = async (transport) => {
    const stats = new Map(await transport.getStats());
    const chosen = [...stats.values()].find((s) => s.type === 'transport')?.selectedCandidatePairId;
    const pair = stats.get(chosen);
    if (!pair) return null;
    const [local, remote] = [stats.get(pair.localCandidateId), stats.get(pair.remoteCandidateId)];
    return { local: local?.candidateType, protocol: remote?.protocol, relay: local?.relayProtocol ?? null, remote: remote?.address };
  };
  const { publisher, subscriber } = room.engine.pcManager;
  const routes = { publisher: await route(publisher), subscriber: await route(subscriber) };
  const shown = { frames: video.getVideoPlaybackQuality().totalVideoFrames, size: [video.videoWidth, video.videoHeight] };
  await room.disconnect();
  return { ...shown, routes };
}, args);
say('verdict', verdict);
await browser.close();
process.exit(0);
