// Two pages of livekit-client with its defaults (adaptive stream, dynacast, simulcast, RED) in headless Chromium.
// Arguments: JSON {modules, page, url, tokens, codec}. Prints one JSON object a line.
import { args, callPage, launchForCalls, say, sleep } from './chromium.mjs';

const browser = await launchForCalls('--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream');

async function open(name, token) {
  const page = await callPage(browser, { name, style: 'width:1280px;height:720px' });
  await page.evaluate(async ({ url, token, codec, simple }) => {
    const LK = window.LivekitClient;
    // The defaults of an application; no adaptive stream where the test sets the quality by hand.
    const room = new LK.Room({ adaptiveStream: !simple, dynacast: true });
    Object.assign(window, { room, states: [], audio: null });
    room.on('trackSubscribed', (track, publication) => {
      if (track.kind === 'video') {
        track.attach(document.getElementById('v'));
        Object.assign(window, { video: track, publication });
      } else {
        track.attach(); // a muted element would count no energy
        window.audio = track;
      }
    });
    room.on('trackStreamStateChanged', (_publication, state) => window.states.push(state));
    await room.connect(url, token);
    // A tone: of two pages only one hears Chromium's fake microphone.
    const context = new AudioContext({ sampleRate: 48000 });
    const oscillator = new OscillatorNode(context, { frequency: 440 });
    const tone = context.createMediaStreamDestination();
    oscillator.connect(tone);
    oscillator.start();
    await context.resume();
    await room.localParticipant.publishTrack(tone.stream.getAudioTracks()[0], { source: 'microphone' });
    await room.localParticipant.setCameraEnabled(true, { resolution: { width: 1280, height: 720, frameRate: 30 } },
      { videoCodec: codec, simulcast: true });
    // What is received, and what is sent by layer.
    window.look = async () => {
      const seen = { sent: {}, states: window.states, state: room.state, name: room.localParticipant.identity };
      for (const report of (await window.video?.receiver.getStats())?.values() ?? []) {
        if (report.type !== 'inbound-rtp') continue;
        seen.video = { frames: report.framesDecoded, width: report.frameWidth, height: report.frameHeight, keys: report.keyFramesDecoded,
          freezes: report.freezeCount, frozen: report.totalFreezesDuration, lost: report.packetsLost, plis: report.pliCount };
      }
      for (const report of (await window.audio?.receiver.getStats())?.values() ?? []) {
        if (report.type === 'inbound-rtp') seen.audio = { energy: report.totalAudioEnergy, samples: report.totalSamplesReceived };
      }
      const camera = room.localParticipant.getTrackPublication('camera').track;
      for (const report of (await camera.sender.getStats()).values()) {
        if (report.type !== 'outbound-rtp') continue;
        seen.sent[report.rid] = { frames: report.framesEncoded ?? 0, active: report.active, width: report.frameWidth, packets: report.packetsSent };
      }
      const codecs = await camera.sender.getStats();
      seen.codec = [...codecs.values()].find((r) => r.type === 'codec')?.mimeType;
      return seen;
    };
  }, { url: args.url, token, codec: args.codec, simple: name === 'b' });
  say('joined', { name });
  return page;
}

// Waits for what `done` says of a look; the last look either way.
async function until(page, seconds, done) {
  let seen;
  const end = Date.now() + seconds * 1000;
  do {
    await sleep(200);
    seen = await page.evaluate(() => window.look());
    seen.ok = Boolean(done(seen));
  } while (!seen.ok && Date.now() < end);
  seen.ms = Math.round(seconds * 1000 - (end - Date.now()));
  return seen;
}

const [a, b] = await Promise.all([open('a', args.tokens[0]), open('b', args.tokens[1])]);
const width = (wanted) => (s) => s.video?.width === wanted;
say('high', { a: await until(a, 20, (s) => width(1280)(s) && s.audio?.energy > 0), b: await until(b, 20, (s) => width(1280)(s) && s.audio?.energy > 0) });
const quality = (wanted) => b.evaluate((q) => window.publication.setVideoQuality(window.LivekitClient.VideoQuality[q]), wanted);
await quality('LOW');
say('low', { b: await until(b, 10, width(320)) });
// Nobody wants the two larger layers now.
const before = await until(a, 1, () => false);
const stopped = await until(a, 10, (s) => !s.sent.f.active && !s.sent.h.active && s.sent.q.active);
say('dynacast', { stopped, before });
const rest = (await until(a, 1, () => false)).sent;
say('rest', { grew: ['q', 'h', 'f'].map((rid) => rest[rid].frames - stopped.sent[rid].frames) });
await quality('HIGH');
say('back', { b: await until(b, 20, width(1280)) });
await quality('MEDIUM');
say('medium', { b: await until(b, 10, width(640)) });
await b.evaluate(() => window.publication.setEnabled(false));
const off = await until(a, 10, (s) => !s.sent.q.active);
await b.evaluate(() => window.publication.setEnabled(true));
const frames = (await until(b, 0, () => true)).video.frames;
say('disabled', { off, b: await until(b, 20, (s) => s.video.frames > frames + 15) });
say('verdict', { a: await until(a, 0, () => true), b: await until(b, 0, () => true) });
await browser.close();
process.exit(0);
