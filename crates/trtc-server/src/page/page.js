// The page of a room: everybody who is live, and a way to be live oneself.
import { Refused, Session, Unreachable, ask } from './whip.js';
import { Studio } from './studio.js';

const at = (id) => document.getElementById(id);
const LIST_EVERY_MS = 2000;
const RETRY_MS = [1000, 2000, 4000, 8000];

const fragment = new URLSearchParams(location.hash.slice(1));
const page = {
  room: fragment.get('room') || 'lobby',
  identity: fragment.get('name') || sessionStorage.getItem('identity') || `guest-${crypto.getRandomValues(new Uint16Array(1))[0].toString(16)}`,
  token: fragment.get('token') || '',
  dev: false,
  sound: false,
  visit: 0,
  tiles: new Map(),
};

// ---- what goes wrong is said in words, once, and taken back when it is over

const notices = new Map();

export function tell(key, title, text, kind = 'bad') {
  let notice = notices.get(key);
  if (!notice) {
    notice = at('notice').content.firstElementChild.cloneNode(true);
    notice.querySelector('[data-close]').addEventListener('click', () => untell(key));
    notices.set(key, notice);
    at('notices').append(notice);
  }
  notice.dataset.kind = kind;
  notice.querySelector('strong').textContent = title;
  notice.querySelector('span').textContent = text;
}

export function untell(...keys) {
  for (const key of keys) {
    notices.get(key)?.remove();
    notices.delete(key);
  }
}

/** Words for an error of the server or of the network. */
export function words(error) {
  if (error instanceof Unreachable) return ['The server does not answer.', 'It may have stopped, or the network is down. This page keeps trying.'];
  if (!(error instanceof Refused)) return ['Something went wrong here.', String(error?.message || error)];
  if (error.status === 401 && !page.token) return ['This room needs a token.', 'Ask whoever runs the server for one and paste it under “Access token”.'];
  if (error.status === 401) return ['The token was refused.', `The server says: ${error.message}. Paste a fresh token under “Access token”.`];
  if (error.status === 403) return ['The token does not allow this.', `The server says: ${error.message}.`];
  if (error.status === 406) return ['This browser and the server have no format in common.', `The server says: ${error.message}.`];
  if (error.status === 429 || error.status === 503) return ['The server is busy.', `It says: ${error.message}. This page tries again.`];
  return [`The server refused (${error.status}).`, error.message];
}

function state(kind, text) {
  at('state').dataset.state = kind;
  at('state').textContent = text;
}

// ---- tokens

/** The token of the room: pasted, or made by a server in development mode. */
export async function token() {
  if (page.token) return page.token;
  if (!page.dev) {
    at('access').open = true;
    throw new Refused(401, 'a token is needed to enter this room');
  }
  const body = JSON.stringify({ room: page.room, identity: page.identity });
  const answer = await ask('POST', '/page/token', '', { type: 'application/json', body });
  page.token = (await answer.json()).token;
  return page.token;
}

// ---- watching

class Tile {
  constructor(stream, screen) {
    this.stream = stream;
    this.screen = screen;
    this.element = at('tile').content.firstElementChild.cloneNode(true);
    this.video = this.element.querySelector('video');
    this.part('name').textContent = (stream.name || stream.identity) + (screen ? ' · screen' : '');
    this.part('face').textContent = [...(stream.name || stream.identity)][0] || '?';
    this.video.setAttribute('aria-label', `Stream of ${stream.name || stream.identity}`);
    this.part('sound').addEventListener('click', () => this.sound(this.video.muted));
    this.attempt = 0;
    at('grid').append(this.element);
    this.open();
  }

  part(name) {
    return this.element.querySelector(`.tile-${name}`);
  }

  async open() {
    const { identity } = this.stream;
    const query = new URLSearchParams({ userid: identity, ...(this.screen && { source: 'screen_share' }) });
    const url = new URL(`/whep/${encodeURIComponent(page.room)}?${query}`, location.href).href;
    this.show('connecting', 'Connecting…');
    this.frames = 0;
    const session = new Session({ url, token: page.token, onstate: (now) => session === this.session && this.changed(now) });
    this.session = session;
    this.video.srcObject = session.stream;
    try {
      await session.open();
    } catch (error) {
      if (session === this.session) this.retry(words(error).join(' '));
    }
  }

  changed(now) {
    if (now === 'connected') {
      this.attempt = 0;
      this.show('waiting', 'Waiting for the picture…');
      this.sound(page.sound);
    } else if (now === 'lost') this.show('lost', 'Connection lost. Looking for another path…');
    else if (now === 'failed') this.retry('Connection lost.');
  }

  retry(why) {
    this.session.leave();
    const wait = RETRY_MS[Math.min(this.attempt, RETRY_MS.length - 1)];
    this.attempt += 1;
    this.show('lost', `${why} Trying again…`);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), wait);
  }

  show(now, text) {
    this.element.dataset.state = now;
    this.part('state').textContent = text;
  }

  sound(on) {
    this.video.muted = !on;
    this.part('sound').setAttribute('aria-pressed', String(on));
    this.part('sound').textContent = on ? 'Mute' : 'Unmute';
    this.video.play().catch(() => {
      // Without a gesture only silence may play.
      this.video.muted = true;
      this.video.play().catch(() => {});
    });
  }

  /** Called every second or so with what the list says. */
  async look(stream) {
    this.stream = stream;
    const media = this.screen ? stream.screen : stream.video;
    this.element.dataset.picture = media && !media.muted ? 'some' : 'none';
    if (!this.session.peer || this.session.peer.connectionState !== 'connected') return;
    const facts = await this.session.facts();
    const moves = facts && facts.frames > this.frames;
    this.frames = facts ? facts.frames : 0;
    if (!media || media.muted || moves) this.show('playing', '');
    this.part('facts').textContent = facts && media ? `${facts.width} × ${facts.height} · ${facts.fps} fps · ${facts.codec}` : 'sound only';
  }

  close() {
    clearTimeout(this.timer);
    const { session } = this;
    this.session = null;
    session.leave();
    this.element.remove();
  }
}

function arrange(streams) {
  const wanted = new Map();
  for (const stream of streams) {
    if (stream.identity === page.identity && studio.live) continue;
    if (stream.audio || stream.video) wanted.set(stream.identity, [stream, false]);
    if (stream.screen) wanted.set(`${stream.identity}\nscreen`, [stream, true]);
  }
  for (const [key, tile] of page.tiles) {
    if (!wanted.has(key)) {
      tile.close();
      page.tiles.delete(key);
    }
  }
  for (const [key, [stream, screen]] of wanted) {
    const tile = page.tiles.get(key);
    if (tile) tile.look(stream);
    else page.tiles.set(key, new Tile(stream, screen));
  }
  const count = page.tiles.size;
  at('empty').hidden = count > 0 || studio.live;
  at('sound').hidden = count === 0;
  const others = count === 1 ? 'one stream' : `${count} streams`;
  at('heading-count').textContent = count ? others : studio.live ? 'you are live, nobody else yet' : 'nobody is live';
  state('good', studio.live ? `On air · ${count} to watch` : `Connected · ${count} live`);
}

/** Asks who is live until another room is opened. */
async function follow(visit) {
  for (let failures = 0; visit === page.visit; ) {
    let wait = LIST_EVERY_MS;
    try {
      const bearer = await token();
      const url = `/trtc/v1/streams?room=${encodeURIComponent(page.room)}`;
      const { streams } = await (await ask('GET', url, bearer)).json();
      if (visit !== page.visit) return;
      failures = 0;
      untell('list');
      arrange(streams);
    } catch (error) {
      if (visit !== page.visit) return;
      const [title, text] = words(error);
      state('bad', error instanceof Unreachable ? 'Server gone' : 'Refused');
      tell('list', title, text);
      at('empty').hidden = true;
      if (error.status === 401) {
        at('access').hidden = false;
        at('access').open = true;
      }
      // A refused token is not asked with again; one that the server made is made anew.
      if (error instanceof Refused && (error.status === 401 || error.status === 403)) {
        if (!page.dev || !page.token) return;
        page.token = '';
      }
      wait = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];
      failures += 1;
    }
    await new Promise((done) => setTimeout(done, wait));
  }
}

function enter() {
  for (const tile of page.tiles.values()) tile.close();
  page.tiles.clear();
  page.visit += 1;
  history.replaceState(null, '', `#${new URLSearchParams({ room: page.room })}`);
  document.title = `${page.room} · trtc`;
  at('room').value = page.room;
  at('identity').value = page.identity;
  at('heading-room').textContent = page.room;
  at('heading-count').textContent = '';
  at('way-whip').textContent = `${location.origin}/whip/${encodeURIComponent(page.room)}`;
  at('way-join').textContent = page.dev
    ? `trtc join --dev --room ${page.room} --user bob --publish pattern`
    : `trtc join --url ${location.origin.replace('http', 'ws')} --token TOKEN --publish pattern`;
  state('busy', 'Connecting…');
  follow(page.visit);
}

// ---- the controls

const studio = new Studio({
  at,
  tell,
  untell,
  words,
  token,
  where: () => new URL(`/whip/${encodeURIComponent(page.room)}`, location.href).href,
  changed: () => {
    at('identity').disabled = studio.live;
    at('room').disabled = studio.live;
  },
});

at('room-form').addEventListener('submit', (event) => {
  event.preventDefault();
  page.room = at('room').value.trim();
  if (page.dev) page.token = '';
  untell('list');
  enter();
});

at('identity').addEventListener('change', () => {
  page.identity = at('identity').value.trim() || page.identity;
  sessionStorage.setItem('identity', page.identity);
  if (page.dev) page.token = '';
});

at('use-token').addEventListener('click', () => {
  page.token = at('token').value.trim();
  const claims = read(page.token);
  if (!claims) return tell('list', 'This is no token.', 'A JWT has three parts with dots between them.');
  if (claims.video?.room) page.room = claims.video.room;
  if (claims.sub) page.identity = claims.sub;
  untell('list', 'live');
  enter();
});

at('sound').addEventListener('click', () => {
  page.sound = !page.sound;
  at('sound').setAttribute('aria-pressed', String(page.sound));
  at('sound').textContent = page.sound ? 'Turn sound off' : 'Turn sound on';
  for (const tile of page.tiles.values()) tile.sound(page.sound);
});

at('empty-live').addEventListener('click', () => at('live').click());

at('theme').addEventListener('click', () => theme(document.documentElement.dataset.theme === 'light' ? 'dark' : 'light'));

function theme(name) {
  document.documentElement.dataset.theme = name;
  localStorage.setItem('theme', name);
}

/** What a token says of itself; the server judges it. */
function read(text) {
  try {
    const body = text.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(body), (c) => c.charCodeAt(0))));
  } catch {
    return null;
  }
}

window.addEventListener('pagehide', () => {
  studio.stop();
  for (const tile of page.tiles.values()) tile.session?.leave();
});

async function start() {
  theme(localStorage.getItem('theme') || (matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark'));
  const claims = page.token ? read(page.token) : null;
  if (claims?.video?.room) page.room = claims.video.room;
  if (claims?.sub) page.identity = claims.sub;
  if (!window.RTCPeerConnection) {
    state('bad', 'No WebRTC');
    return tell('webrtc', 'This browser has no WebRTC.', 'It cannot watch or publish here. Any current Chrome, Edge, Firefox or Safari can.');
  }
  const codecs = (RTCRtpReceiver.getCapabilities('video')?.codecs || []).map((codec) => codec.mimeType.toLowerCase());
  if (!codecs.includes('video/h264') && !codecs.includes('video/vp8')) {
    tell('codecs', 'This browser has neither VP8 nor H.264.', 'You can listen, but most pictures will stay dark.');
  } else if (!codecs.includes('video/h264')) {
    tell('codecs', 'This browser has no H.264.', 'Streams in H.264 (many SDKs and OBS) will stay dark; VP8 works.', 'warn');
  }
  for (let failures = 0; ; failures += 1) {
    try {
      page.dev = (await (await ask('GET', '/page/config', '')).json()).dev;
      break;
    } catch (error) {
      state('bad', 'Server gone');
      tell('list', ...words(error));
      await new Promise((done) => setTimeout(done, RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]));
    }
  }
  untell('list');
  at('access').hidden = page.dev && !page.token;
  enter();
}

start();
