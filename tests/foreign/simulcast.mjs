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
    Object.assign(window, { room, audio: null });
    // How late the machine runs this page's timers, at worst since the last reading.
    let last = performance.now(), late = 0;
    setInterval(() => {
      const now = performance.now();
      late = Math.max(late, now - last - 50);
      last = now;
    }, 50);
    window.late = () => { const worst = late; late = 0; return Math.round(worst); };
    room.on('trackSubscribed', (track, publication) => {
      if (track.kind === 'video') {
        track.attach(document.getElementById('v'));
        Object.assign(window, { video: track, publication });
      } else {
        track.attach(); // a muted element would count no energy
        window.audio = track;
      }
    });
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
      const seen = { sent: {}, state: room.state, name: room.localParticipant.identity };
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
    // When just these layers were active: milliseconds since the epoch, or nothing.
    window.sends = async (layers, seconds) => {
      const { sender } = room.localParticipant.getTrackPublication('camera').track;
      const end = Date.now() + seconds * 1000;
      while (Date.now() < end) {
        const reports = [...(await sender.getStats()).values()].filter((r) => r.type === 'outbound-rtp');
        if (reports.length > 0 && reports.every((r) => r.active === layers.includes(r.rid))) return Date.now();
        await new Promise((done) => setTimeout(done, 50));
      }
      return undefined;
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
const lateness = async () => Math.max(...await Promise.all([a, b].map((page) => page.evaluate(() => window.late()))));
const frozen = async () => { const { video } = await until(b, 0, () => true); return { seconds: video.frozen, times: video.freezes }; };
// The moment at which the wish leaves.
const quality = (wanted) => b.evaluate((q) => {
  const at = Date.now();
  window.publication.setVideoQuality(window.LivekitClient.VideoQuality[q]);
  return at;
}, wanted);

// a shows what b sends in elements of other sizes: its adaptive stream chooses.
async function resize() {
  const style = (css) => a.evaluate((text) => { document.getElementById('v').style.cssText = text; }, css);
  await style('width:200px;height:112px');
  const small = await until(a, 20, width(320));
  await style('display:none');
  let shown = -1, since = Date.now();
  const hidden = await until(a, 20, (s) => {
    if (s.video.frames !== shown) [shown, since] = [s.video.frames, Date.now()];
    return Date.now() - since > 1500;
  });
  await style('width:1280px;height:720px');
  say('resized', { small, hidden, large: await until(a, 30, (s) => width(1280)(s) && s.video.frames > shown + 15) });
}

// b chooses by hand among what a sends.
async function choose() {
  const before = await frozen();
  await lateness();
  const at = await quality('LOW');
  const [low, stopped] = await Promise.all([until(b, 10, width(320)), a.evaluate(() => window.sends(['q'], 20))]);
  say('low', { b: low });
  say('dynacast', { ok: Boolean(stopped), ms: stopped - at, late: await lateness() });
  const first = await until(a, 0, () => true);
  const rest = await until(a, 1, () => false);
  say('rest', { grew: ['q', 'h', 'f'].map((rid) => rest.sent[rid].frames - first.sent[rid].frames) });
  await quality('HIGH');
  say('back', { b: await until(b, 20, width(1280)) });
  await quality('MEDIUM');
  say('medium', { b: await until(b, 10, width(640)) });
  // A freeze counts when it is over.
  await sleep(1000);
  const after = await frozen();
  say('frozen', { seconds: after.seconds - before.seconds, times: after.times - before.times, late: await lateness() });
}

// Of a nothing is sent while b does not want it.
async function disable() {
  await b.evaluate(() => window.publication.setEnabled(false));
  const off = await until(a, 10, (s) => !s.sent.q.active);
  await b.evaluate(() => window.publication.setEnabled(true));
  const { frames } = (await until(b, 0, () => true)).video;
  say('disabled', { off, b: await until(b, 20, (s) => s.video.frames > frames + 15) });
}

await choose();
await Promise.all([disable(), resize()]);
say('verdict', { a: await until(a, 0, () => true), b: await until(b, 0, () => true) });
await browser.close();
process.exit(0);
