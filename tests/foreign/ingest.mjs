// A WHIP publisher of its own making in headless Chromium (three layers; by PATCH each candidate and an ICE restart) and livekit-client beside it.
// 960x540 is the smallest picture of which libwebrtc sends three layers, at 640x360 the third never comes (video/config/simulcast.cc;
// said by ExWebRTC's guides/advanced/simulcast.md too).
// Arguments: JSON {modules, page, whip, url, tokens: {whip, watch}}. Prints one JSON object a line.
import { args, callPage, launchForCalls, say, sleep } from './chromium.mjs';

const browser = await launchForCalls('--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream');

const publisher = await callPage(browser, { name: 'publisher' });
say('created', await publisher.evaluate(async ({ whip, token }) => {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 960, height: 540, frameRate: 15 } });
  const peer = new RTCPeerConnection();
  peer.addTransceiver(stream.getAudioTracks()[0], { direction: 'sendonly', streams: [stream] });
  const layer = (rid, scaleResolutionDownBy) => ({ rid, scaleResolutionDownBy });
  peer.addTransceiver(stream.getVideoTracks()[0], {
    direction: 'sendonly', streams: [stream], sendEncodings: [layer('q', 4), layer('h', 2), layer('f', 1)],
  });
  const candidates = [];
  const gathered = new Promise((done) => {
    peer.onicecandidate = ({ candidate }) => (candidate?.candidate ? candidates.push(candidate) : done());
  });
  // The offer leaves without a candidate.
  await peer.setLocalDescription(await peer.createOffer());
  const offer = peer.localDescription.sdp.replace(/a=(candidate:.*|end-of-candidates)\r\n/g, '');
  const post = await fetch(whip, {
    method: 'POST', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/sdp' }, body: offer,
  });
  const answer = await post.text();
  await peer.setRemoteDescription({ type: 'answer', sdp: answer });
  Object.assign(window, { peer, token, location_: new URL(post.headers.get('Location'), whip).href });
  await gathered;
  peer.onicecandidate = null;
  // RFC 9725 4.3.2: each candidate in a fragment of its own.
  const own = (name) => new RegExp(`a=${name}:.*`).exec(offer)[0].trim();
  window.trickle = async () => {
    const statuses = [];
    for (const { candidate, sdpMid } of candidates) {
      const lines = [own('ice-ufrag'), own('ice-pwd'), 'm=audio 9 UDP/TLS/RTP/SAVPF 0', `a=mid:${sdpMid}`, `a=${candidate}`, ''];
      const patch = await fetch(window.location_, {
        method: 'PATCH', body: lines.join('\r\n'),
        headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': post.headers.get('ETag') },
      });
      statuses.push(patch.status);
    }
    const used = async () => {
      const stats = await peer.getStats();
      const transport = [...stats.values()].find((r) => r.type === 'transport');
      return stats.get(stats.get(transport.selectedCandidatePairId)?.localCandidateId);
    };
    for (let i = 0; i < 200 && peer.connectionState !== 'connected'; i += 1) await new Promise((done) => setTimeout(done, 100));
    const { address, port, candidateType } = await used() ?? {};
    const announced = candidates.some((c) => c.candidate.includes(` ${address} ${port} typ ${candidateType}`));
    return { statuses, announced, used: `${candidateType} ${address}:${port}`, candidates: candidates.map((c) => c.candidate) };
  };
  return { status: post.status, etag: post.headers.get('ETag'), simulcast: /a=simulcast:recv q;h;f/.test(answer) };
}, { whip: args.whip, token: args.tokens.whip }));
say('trickled', await publisher.evaluate(() => window.trickle()));

const watcher = await callPage(browser, { name: 'watcher', style: 'width:640px;height:360px' });
await watcher.evaluate(async ({ url, token }) => {
  const room = new window.LivekitClient.Room({ adaptiveStream: false, dynacast: true });
  room.on('trackSubscribed', (track, publication, participant) => {
    track.attach(track.kind === 'video' ? document.getElementById('v') : undefined);
    window[track.kind] = track;
    if (track.kind === 'video') Object.assign(window, { publication, kind: participant.kind });
  });
  await room.connect(url, token);
  window.look = async () => {
    const seen = { kind: window.kind, layers: window.publication?.trackInfo?.layers?.length };
    for (const track of [window.video, window.audio]) {
      for (const report of (await track?.receiver.getStats())?.values() ?? []) {
        if (report.type !== 'inbound-rtp') continue;
        if (report.kind === 'video') Object.assign(seen, { frames: report.framesDecoded, width: report.frameWidth });
        else seen.energy = report.totalAudioEnergy;
      }
    }
    return seen;
  };
}, { url: args.url, token: args.tokens.watch });

// Waits for what `done` says of a look; the last look either way.
async function until(seconds, done) {
  let seen;
  const end = Date.now() + seconds * 1000;
  do {
    await sleep(200);
    seen = await watcher.evaluate(() => window.look());
    seen.ok = Boolean(done(seen));
  } while (!seen.ok && Date.now() < end);
  return seen;
}

const width = (wanted) => (s) => s.width === wanted;
const quality = (wanted) => watcher.evaluate((q) => window.publication.setVideoQuality(window.LivekitClient.VideoQuality[q]), wanted);
say('high', await until(40, (s) => width(960)(s) && s.frames > 20 && s.energy > 0));
await quality('LOW');
say('low', await until(30, width(240)));
await quality('HIGH');
say('back', await until(40, width(960)));

say('restarted', await publisher.evaluate(async () => {
  const { peer, token } = window;
  const ufrag = (sdp) => /a=ice-ufrag:(.*)\r?\n/.exec(sdp)[1].trim();
  const before = { local: ufrag(peer.localDescription.sdp), remote: ufrag(peer.remoteDescription.sdp) };
  await peer.setLocalDescription(await peer.createOffer({ iceRestart: true }));
  const own = (name) => new RegExp(`a=${name}:.*`).exec(peer.localDescription.sdp)[0].trim();
  const patch = await fetch(window.location_, {
    method: 'PATCH', body: `${own('ice-ufrag')}\r\n${own('ice-pwd')}\r\n`,
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': '*' },
  });
  const fragment = await patch.text();
  const fresh = (name) => new RegExp(`a=${name}:(.*)`).exec(fragment)[1].trim();
  const sdp = peer.remoteDescription.sdp.replace(/a=ice-ufrag:.*/g, `a=ice-ufrag:${fresh('ice-ufrag')}`)
    .replace(/a=ice-pwd:.*/g, `a=ice-pwd:${fresh('ice-pwd')}`);
  await peer.setRemoteDescription({ type: 'answer', sdp });
  const after = { local: ufrag(peer.localDescription.sdp), remote: ufrag(peer.remoteDescription.sdp) };
  // The pair in use belongs to the new session.
  const used = async () => {
    const stats = await peer.getStats();
    const transport = [...stats.values()].find((r) => r.type === 'transport');
    return transport.iceLocalUsernameFragment;
  };
  for (let i = 0; i < 100 && (await used()) !== after.local; i += 1) await new Promise((done) => setTimeout(done, 100));
  return {
    status: patch.status, etag: patch.headers.get('ETag'), used: (await used()) === after.local, state: peer.connectionState,
    changed: before.local !== after.local && before.remote !== after.remote,
  };
}));
const { frames } = await until(0, () => true);
say('after', { before: frames, ...await until(30, (s) => s.frames > frames + 60) });
say('deleted', { status: await publisher.evaluate(async () => (await fetch(window.location_, { method: 'DELETE', headers: { Authorization: `Bearer ${window.token}` } })).status) });
await browser.close();
process.exit(0);
