// The own camera and microphone: preview, level, and WHIP.
import { Refused, Session } from './whip.js';

const RETRY_MS = [1000, 2000, 4000, 8000];

/** Words for what `getUserMedia` refuses. */
function trouble(error) {
  switch (error?.name) {
    case 'NotAllowedError':
      return ['No permission for camera and microphone.', 'Allow them for this page (the icon beside the address, or the system’s privacy settings) and press “Go live” again.'];
    case 'NotFoundError':
      return ['No camera and no microphone found.', 'Plug one in, or publish from a program: trtc join, OBS, or any WHIP client.'];
    case 'NotReadableError':
    case 'AbortError':
      return ['The camera or microphone is in use.', 'Another program holds it. Close that program, or choose another device below.'];
    case 'OverconstrainedError':
      return ['The chosen device is gone.', 'Choose another camera or microphone.'];
    default:
      return ['Camera and microphone could not be opened.', String(error?.message || error)];
  }
}

export class Studio {
  constructor(parts) {
    Object.assign(this, parts);
    this.live = false;
    this.stream = null;
    const { at } = this;
    at('studio-form').addEventListener('submit', (event) => {
      event.preventDefault();
      if (this.live || this.starting) this.stop();
      else this.start();
    });
    at('mute-camera').addEventListener('click', () => this.mute('video', at('mute-camera'), 'Show camera', 'Hide camera'));
    at('mute-microphone').addEventListener('click', () => this.mute('audio', at('mute-microphone'), 'Unmute', 'Mute'));
    for (const name of ['camera', 'microphone']) at(name).addEventListener('change', () => this.change());
    navigator.mediaDevices?.addEventListener?.('devicechange', () => this.devices());
    this.devices();
  }

  async start() {
    const { at } = this;
    if (!navigator.mediaDevices?.getUserMedia) {
      return this.tell('live', 'Browsers give camera and microphone to safe pages only.', `This one came over plain HTTP from ${location.hostname}. Open it by https://, or on the server itself as http://localhost:${location.port}/.`);
    }
    this.starting = true;
    this.untell('live');
    this.face('Opening camera and microphone…');
    try {
      await this.capture();
    } catch (error) {
      this.tell('live', ...trouble(error));
      return this.stop();
    }
    if (!this.starting) return this.stop();
    this.attempt = 0;
    at('identity').disabled = true;
    await this.connect();
  }

  /** Camera and microphone; one of them alone when the other is missing. */
  async capture() {
    const { at } = this;
    const pick = (id) => (at(id).value ? { deviceId: { exact: at(id).value } } : {});
    const audio = { ...pick('microphone'), echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    const video = { ...pick('camera'), width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
    let first;
    for (const wish of [{ audio, video }, { video }, { audio }]) {
      try {
        this.stream = await navigator.mediaDevices.getUserMedia(wish);
        break;
      } catch (error) {
        first ||= error;
        // A refusal holds for each of them; asking again would only annoy.
        if (error.name === 'NotAllowedError') break;
      }
    }
    if (!this.stream) throw first;
    if (first) this.tell('half', this.stream.getVideoTracks().length ? 'No microphone.' : 'No camera.', `You are live without it. (${first.message || first.name})`, 'warn');
    at('preview').srcObject = this.stream;
    at('preview-off').hidden = this.stream.getVideoTracks().length > 0;
    for (const track of this.stream.getTracks()) {
      track.addEventListener('ended', () => this.tell('half', track.kind === 'video' ? 'The camera stopped.' : 'The microphone stopped.', 'It was unplugged or taken away. Choose another device.', 'warn'));
    }
    this.listen();
    this.devices();
  }

  async connect() {
    const session = new Session({
      url: this.where(),
      token: '',
      stream: this.stream,
      onstate: (now) => session === this.session && this.heard(now),
    });
    this.session = session;
    this.face('Connecting…');
    try {
      session.token = await this.token();
      await session.open();
    } catch (error) {
      if (session !== this.session) return;
      this.tell('live', ...this.words(error));
      if (error instanceof Refused && ![429, 503].includes(error.status)) this.stop();
      else this.again();
    }
  }

  heard(now) {
    if (now === 'connected') {
      this.attempt = 0;
      this.live = true;
      this.starting = false;
      this.untell('live');
      this.face('Everybody in the room sees and hears you.');
      this.changed();
    } else if (now === 'lost') this.face('Connection lost. Looking for another path…');
    else if (now === 'failed') this.again();
  }

  again() {
    this.session?.leave();
    this.session = null;
    if (!this.live && !this.starting) return;
    this.tell('live', 'The connection is lost.', 'Your camera is still on; this page connects again.', 'warn');
    this.face('Connecting again…');
    const wait = RETRY_MS[Math.min(this.attempt, RETRY_MS.length - 1)];
    this.attempt += 1;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), wait);
  }

  stop() {
    const { at } = this;
    clearTimeout(this.timer);
    clearInterval(this.metering);
    this.context?.close().catch(() => {});
    this.context = null;
    this.session?.leave();
    this.session = null;
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.live = false;
    this.starting = false;
    at('preview').srcObject = null;
    at('preview-off').hidden = false;
    at('level').style.removeProperty('--level');
    at('identity').disabled = false;
    this.untell('half');
    this.face('');
    this.changed();
  }

  /** Buttons as the state has it. */
  face(text) {
    const { at } = this;
    const on = this.live || this.starting;
    at('live-text').textContent = text;
    at('live').textContent = on ? 'Stop' : 'Go live';
    at('live').dataset.live = String(on);
    at('on-air').hidden = !this.live;
    for (const [id, kind] of [['mute-camera', 'video'], ['mute-microphone', 'audio']]) {
      const tracks = this.stream?.getTracks().filter((track) => track.kind === kind) || [];
      at(id).disabled = !tracks.length;
      if (!tracks.length) {
        at(id).setAttribute('aria-pressed', 'false');
        at(id).textContent = kind === 'video' ? 'Hide camera' : 'Mute';
      }
    }
  }

  mute(kind, button, off, on) {
    const muted = button.getAttribute('aria-pressed') !== 'true';
    for (const track of this.stream?.getTracks() || []) if (track.kind === kind) track.enabled = !muted;
    button.setAttribute('aria-pressed', String(muted));
    button.textContent = muted ? off : on;
    if (kind === 'video') this.at('preview-off').hidden = !muted;
  }

  /** Another device while live: the tracks are exchanged, the session stays. */
  async change() {
    if (!this.stream) return;
    const old = this.stream;
    try {
      await this.capture();
      old.getTracks().forEach((track) => track.stop());
      for (const sender of this.session?.peer?.getSenders() || []) {
        const kind = sender.track?.kind;
        const next = this.stream.getTracks().find((track) => track.kind === kind);
        if (next) await sender.replaceTrack(next);
      }
    } catch (error) {
      this.tell('half', ...trouble(error));
    }
  }

  async devices() {
    if (!navigator.mediaDevices?.enumerateDevices) return;
    const all = await navigator.mediaDevices.enumerateDevices().catch(() => []);
    for (const [id, kind, name] of [['camera', 'videoinput', 'Camera'], ['microphone', 'audioinput', 'Microphone']]) {
      const select = this.at(id);
      const chosen = select.value;
      // Before the permission devices have no names and no ids.
      const found = all.filter((device) => device.kind === kind && device.deviceId && device.deviceId !== 'default');
      select.replaceChildren(new Option(`Default ${name.toLowerCase()}`, ''), ...found.map((d, i) => new Option(d.label || `${name} ${i + 1}`, d.deviceId)));
      select.value = found.some((device) => device.deviceId === chosen) ? chosen : '';
    }
  }

  /** The level under the preview. */
  listen() {
    clearInterval(this.metering);
    this.context?.close().catch(() => {});
    this.context = null;
    if (!this.stream.getAudioTracks().length) return;
    this.context = new AudioContext();
    const analyser = new AnalyserNode(this.context, { fftSize: 1024 });
    this.context.createMediaStreamSource(this.stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.metering = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, s) => sum + s * s, 0) / samples.length;
      // -60 dB is the left end, 0 dB the right one.
      const level = Math.max(0, Math.min(1, 1 + Math.log10(power + 1e-12) / 6));
      this.at('level').style.setProperty('--level', level.toFixed(2));
    }, 80);
  }
}
