// npm livekit-client in headless Chromium for resume.py: the counterpart of resume_peer.py.
// Arguments: JSON {modules, page, url, token, seconds}. Prints one JSON object a line.
import { args, callPage, launchForCalls, say } from './chromium.mjs';

const browser = await launchForCalls(`--unsafely-treat-insecure-origin-as-secure=${args.page}`);
const page = await callPage(browser);
page.on('console', (line) => { if (line.text().startsWith('livekit')) console.error(new Date().toISOString().slice(11, 23), line.text()); });
await page.evaluate(async ({ url, token, seconds }) => {
  const LK = window.LivekitClient;
  LK.setLogLevel('debug');
  LK.setLogExtension((_level, message, context) => {
    if (!message.startsWith('room event')) console.log(`livekit ${message} ${JSON.stringify(context || {}).slice(0, 800)}`);
  });
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
  const room = new LK.Room({ adaptiveStream: false, dynacast: false });
  const video = document.getElementById('v');
  room.on('trackSubscribed', (track) => { if (track.kind === 'video') track.attach(video); });
  room.on('dataReceived', (payload, _participant, _kind, topic) => {
    if (topic === 'trtc.cmd.1') window.say('message', { seq: new DataView(payload.buffer, payload.byteOffset).getUint32(0) });
  });
  for (const name of ['signalReconnecting', 'reconnecting']) room.on(name, () => window.say('lost', { how: name }));
  room.on('reconnected', () => window.say('back'));
  room.on('disconnected', (reason) => window.say('ended', { reason: String(reason) }));
  await room.connect(url, token);
  window.say('joined');
  const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 180 });
  const draw = canvas.getContext('2d');
  let n = 0;
  setInterval(() => {
    draw.fillStyle = `hsl(${n % 360} 80% 50%)`;
    draw.fillRect(0, 0, 320, 180);
    n += 1;
  }, 66);
  room.localParticipant.publishTrack(canvas.captureStream(15).getVideoTracks()[0], { source: 'camera', videoCodec: 'h264', simulcast: false });
  (async () => {
    for (let number = 1; ; number += 1) {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setUint32(0, number);
      for (;;) {
        // livekit-client 2.23: a message that meets a full reconnect waits on the closed connection, at worst for good.
        while (room.state === 'reconnecting') await sleep(50);
        try {
          await room.localParticipant.publishData(bytes, { reliable: true, topic: 'trtc.cmd.1' });
          break;
        } catch (error) {
          window.say('refused', { number, error: String(error) });
          await sleep(200);
        }
      }
      window.say('sent', { number });
      await sleep(200);
    }
  })();
  // The picture's time code is read by the caller.
  const shot = Object.assign(document.createElement('canvas'), { width: 320, height: 180 });
  const pixels = shot.getContext('2d', { willReadFrequently: true });
  const end = performance.now() + seconds * 1000;
  let shown = 0;
  while (performance.now() < end) {
    await sleep(150);
    const total = video.getVideoPlaybackQuality().totalVideoFrames;
    if (total === shown || !video.videoWidth) continue;
    shown = total;
    pixels.drawImage(video, 0, 0, 320, 180);
    const rgba = pixels.getImageData(0, 0, 320, 180).data;
    const luma = new Uint8Array(320 * 180);
    for (let p = 0; p < luma.length; p += 1) luma[p] = (rgba[4 * p] * 77 + rgba[4 * p + 1] * 150 + rgba[4 * p + 2] * 29) >> 8;
    window.say('picture', { luma: btoa(String.fromCharCode(...luma.subarray(0, 20000)) + String.fromCharCode(...luma.subarray(20000, 40000)) + String.fromCharCode(...luma.subarray(40000))) });
  }
}, args);
await browser.close();
process.exit(0);
