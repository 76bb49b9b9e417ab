// livekit-client in headless Chromium: joins, publishes, judges what it receives, loses its WebSocket and comes back.
// Arguments: JSON {modules, page, url, token, seconds}. Prints one JSON object a line.
import { args, callPage, launchForCalls, say } from './chromium.mjs';

const browser = await launchForCalls('--use-fake-ui-for-media-stream');
const page = await callPage(browser);
const verdict = await page.evaluate(async ({ url, token, listenerToken, seconds }) => {
  const LK = window.LivekitClient;
  const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
  const room = new LK.Room({ adaptiveStream: false, dynacast: false });
  const video = document.getElementById('v');
  const seen = { data: [], speakers: new Set(), quality: {}, reconnected: false, undecoded: 0 };
  const context = new AudioContext({ sampleRate: 48000 });
  const analyser = new AnalyserNode(context, { fftSize: 32768 });
  room.on('trackSubscribed', (track) => {
    if (track.kind === 'video') track.attach(video);
    else {
      const element = track.attach(); // Chromium needs an element before WebAudio hears a remote track
      element.muted = true;
      context.createMediaStreamSource(new MediaStream([track.mediaStreamTrack])).connect(analyser);
    }
    window.say('track_subscribed', { kind: track.kind });
  });
  room.on('dataReceived', (payload, _participant, _kind, topic) => {
    if (topic === 'trtc.cmd.1') seen.data.push(new DataView(payload.buffer, payload.byteOffset).getUint32(0));
  });
  room.on('activeSpeakersChanged', (speakers) => speakers.forEach((p) => seen.speakers.add(p.identity)));
  room.on('connectionQualityChanged', (quality, p) => { seen.quality[p.identity] = quality; });
  room.on('reconnected', () => { seen.reconnected = true; });
  const start = performance.now();
  await room.connect(url, token);
  const joinMs = performance.now() - start;
  window.say('joined', { ms: joinMs });

  const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
  const draw = canvas.getContext('2d');
  let n = 0;
  setInterval(() => {
    draw.fillStyle = `hsl(${n % 360} 80% 50%)`;
    draw.fillRect(0, 0, 640, 360);
    draw.fillStyle = 'white';
    draw.fillRect((n * 4) % 600, 160, 40, 40);
    n += 1;
  }, 33);
  const oscillator = new OscillatorNode(context, { frequency: 880 });
  const gain = new GainNode(context, { gain: 0.3 });
  const out = context.createMediaStreamDestination();
  oscillator.connect(gain).connect(out);
  oscillator.start();
  await room.localParticipant.publishTrack(canvas.captureStream(30).getVideoTracks()[0],
    { source: 'camera', videoCodec: 'h264', simulcast: false });
  // WebAudio's sound has two channels, for which the client switches RED off unless it is told.
  await room.localParticipant.publishTrack(out.stream.getAudioTracks()[0], { source: 'microphone', dtx: false, red: true });
  // Another browser's ear: is there sound, and does each packet bring a frame again that it has (statistics name the codec within RED).
  const heardBy = async (other) => {
    const coming = new Promise((done) => other.on('trackSubscribed', (track, _, from) => {
      if (track.kind === 'audio' && from.identity === 'browser') done(track);
    }));
    await other.connect(url, listenerToken);
    const track = await coming;
    track.attach().muted = true;
    const ear = new AnalyserNode(context);
    context.createMediaStreamSource(new MediaStream([track.mediaStreamTrack])).connect(ear);
    await sleep(2500);
    const samples = new Float32Array(ear.fftSize);
    ear.getFloatTimeDomainData(samples);
    const inbound = [...(await track.getRTCStatsReport()).values()].find((s) => s.type === 'inbound-rtp');
    await other.disconnect();
    return { peak: Math.max(...samples), repeats: inbound.packetsDiscarded, packets: inbound.packetsReceived };
  };
  for (let i = 1; i <= 20; i += 1) {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setUint32(0, i);
    await room.localParticipant.publishData(bytes, { reliable: true, topic: 'trtc.cmd.3' });
    await sleep(100);
  }
  const listener = await heardBy(new LK.Room());
  const measure = () => {
    const shot = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
    const ctx = shot.getContext('2d', { willReadFrequently: true });
    const frames = [];
    return async (count) => {
      for (let i = 0; i < count; i += 1) {
        ctx.drawImage(video, 0, 0, 640, 360);
        const rgba = ctx.getImageData(0, 0, 640, 360).data;
        const luma = new Uint8Array(640 * 360);
        for (let p = 0; p < luma.length; p += 1) luma[p] = (rgba[4 * p] * 77 + rgba[4 * p + 1] * 150 + rgba[4 * p + 2] * 29) >> 8;
        frames.push(btoa(Array.from(luma, (b) => String.fromCharCode(b)).join('')));
        await sleep(200);
      }
      return frames;
    };
  };
  const frames = await measure()(5);
  const spectrum = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(spectrum);
  let peak = 0;
  spectrum.forEach((db, i) => { if (db > spectrum[peak]) peak = i; });
  const before = video.getVideoPlaybackQuality().totalVideoFrames;
  const size = [video.videoWidth, video.videoHeight];
  window.say('cutting');
  await room.simulateScenario('signal-reconnect');
  for (let i = 0; i < 100 && !seen.reconnected; i += 1) await sleep(100);
  await sleep(2500);
  const later = await measure()(2);
  const verdict = { joinMs, frames, later, size, total: before, toneHz: peak * 48000 / 32768, data: seen.data, listener, reconnected: seen.reconnected,
    speakers: [...seen.speakers].sort(), quality: seen.quality,
    state: room.state };
  await sleep(Math.max(0, seconds * 1000 - (performance.now() - start)));
  await room.disconnect();
  return verdict;
}, args);
say('verdict', verdict);
await browser.close();
process.exit(0);
