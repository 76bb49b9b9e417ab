// WHIP (RFC 9725) and WHEP in a browser: one class for both, because they differ in who sends.

/** A refusal of the server: HTTP status and its own words. */
export class Refused extends Error {
  constructor(status, text) {
    super(text || `HTTP ${status}`);
    this.status = status;
  }
}

/** Nobody answered the request. */
export class Unreachable extends Error {}

/** A request with a token; throws `Refused` or `Unreachable`. */
export async function ask(method, url, token, { type, body, headers, keepalive } = {}) {
  const all = { ...headers };
  if (token) all.Authorization = `Bearer ${token}`;
  if (type) all['Content-Type'] = type;
  let answer;
  try {
    answer = await fetch(url, { method, headers: all, body, keepalive, signal: AbortSignal.timeout(15_000) });
  } catch (error) {
    throw new Unreachable(String(error));
  }
  if (!answer.ok) throw new Refused(answer.status, (await answer.text()).slice(0, 400));
  return answer;
}

/** ICE servers that the endpoint recommends (RFC 9725 4.6). */
export function iceServers(link) {
  const servers = [];
  for (const part of (link || '').split(/,\s*(?=<)/)) {
    const url = /^<([^>]+)>/.exec(part);
    if (!url || !/rel="?ice-server"?/.test(part)) continue;
    const field = (name) => (new RegExp(`${name}="([^"]*)"`).exec(part) || [])[1];
    servers.push({ urls: url[1], username: field('username'), credential: field('credential') });
  }
  return servers;
}

/**
 * One session. `stream` publishes it (WHIP); without it the session watches (WHEP) and fills `this.stream`.
 * `onstate` hears connecting, connected, lost (may come back by itself) and failed.
 */
export class Session {
  constructor({ url, token, stream, onstate }) {
    this.url = url;
    this.token = token;
    this.onstate = onstate || (() => {});
    this.publishes = Boolean(stream);
    this.stream = stream || new MediaStream();
    this.closed = false;
  }

  async open() {
    const peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.peer = peer;
    this.onstate('connecting');
    if (this.publishes) {
      for (const track of this.stream.getTracks()) {
        peer.addTransceiver(track, { direction: 'sendonly', streams: [this.stream] });
      }
    } else {
      peer.ontrack = ({ track }) => this.stream.addTrack(track);
      peer.addTransceiver('audio', { direction: 'recvonly' });
      peer.addTransceiver('video', { direction: 'recvonly' });
    }
    peer.onconnectionstatechange = () => this.changed(peer.connectionState);
    try {
      await peer.setLocalDescription();
      const answer = await ask('POST', this.url, this.token, { type: 'application/sdp', body: peer.localDescription.sdp });
      this.location = new URL(answer.headers.get('Location'), this.url).href;
      this.etag = answer.headers.get('ETag');
      const servers = iceServers(answer.headers.get('Link'));
      if (servers.length) peer.setConfiguration({ ...peer.getConfiguration(), iceServers: servers });
      if (this.closed) return this.leave();
      await peer.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
    } catch (error) {
      this.leave();
      throw error;
    }
  }

  changed(state) {
    if (this.closed) return;
    if (state === 'connected') this.onstate('connected');
    else if (state === 'disconnected') this.restart();
    else if (state === 'failed' || state === 'closed') this.onstate('failed');
  }

  /** Another path for the same session (RFC 9725 4.3.3). */
  async restart() {
    this.onstate('lost');
    try {
      const offer = await this.peer.createOffer({ iceRestart: true });
      await this.peer.setLocalDescription(offer);
      const line = (name) => new RegExp(`^a=${name}:.*$`, 'm').exec(offer.sdp)[0].trim();
      const body = `${line('ice-ufrag')}\r\n${line('ice-pwd')}\r\n`;
      const answer = await ask('PATCH', this.location, this.token, {
        type: 'application/trickle-ice-sdpfrag', body, headers: { 'If-Match': '*' },
      });
      this.etag = answer.headers.get('ETag');
      const fragment = await answer.text();
      const fresh = (name) => new RegExp(`^a=${name}:(.*)$`, 'm').exec(fragment)[1].trim();
      const sdp = this.peer.remoteDescription.sdp
        .replace(/^a=ice-ufrag:.*$/gm, `a=ice-ufrag:${fresh('ice-ufrag')}`)
        .replace(/^a=ice-pwd:.*$/gm, `a=ice-pwd:${fresh('ice-pwd')}`);
      await this.peer.setRemoteDescription({ type: 'answer', sdp });
    } catch {
      if (!this.closed) this.onstate('failed');
    }
  }

  /** What arrives: size, frame rate and codec of the picture. */
  async facts() {
    const report = await this.peer.getStats();
    let facts = null;
    report.forEach((entry) => {
      if (entry.type !== 'inbound-rtp' || entry.kind !== 'video' || !entry.frameWidth) return;
      const codec = (report.get(entry.codecId) || {}).mimeType || '';
      facts = {
        width: entry.frameWidth, height: entry.frameHeight, fps: Math.round(entry.framesPerSecond || 0),
        frames: entry.framesDecoded, codec: codec.replace('video/', ''),
      };
    });
    return facts;
  }

  leave() {
    this.closed = true;
    if (this.peer) this.peer.close();
    if (this.location) {
      ask('DELETE', this.location, this.token, { keepalive: true }).catch(() => {});
      this.location = null;
    }
  }
}
