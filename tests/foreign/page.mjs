// The page of `trtc serve` in headless Chromium. Arguments: JSON {modules, page, room, camera, shots, denied}.
// Reads orders on standard input, one JSON object a line, and answers each with one on standard output.
import readline from 'node:readline';
import { args, launch, say } from './chromium.mjs';

const devices = '--use-fake-device-for-media-stream';
const browser = await launch(devices, '--use-fake-ui-for-media-stream');
const strict = args.denied && await launch(devices, '--deny-permission-prompts');
const bare = args.bare && await launch('--use-fake-ui-for-media-stream');
const pages = new Map();
const problems = [];

async function page(name) {
  if (pages.has(name)) return pages.get(name);
  const context = await ({ denied: strict, bare }[name] || browser).newContext({ viewport: { width: 1280, height: 800 }, colorScheme: name === 'light' ? 'light' : 'dark' });
  const made = await context.newPage();
  // As of a server that gives no tokens to visitors.
  if (name === 'strange') await made.route('**/page/config', (route) => route.fulfill({ json: { dev: false, version: '' } }));
  made.on('pageerror', (error) => problems.push(`${name}: ${error}`));
  // Refused requests are part of the tests; broken policies are not.
  made.on('console', (line) => { if (/Content.Security.Policy/i.test(line.text())) problems.push(`${name}: ${line.text()}`); });
  pages.set(name, made);
  return made;
}

const orders = {
  open: async ({ on, url, width, height }) => {
    const it = await page(on);
    if (width) await it.setViewportSize({ width, height });
    await it.goto(url);
  },
  click: async ({ on, target }) => (await page(on)).click(target, { timeout: 20000 }),
  fill: async ({ on, target, text }) => (await page(on)).fill(target, text),
  press: async ({ on, key }) => (await page(on)).keyboard.press(key),
  wait: async ({ on, target, ms }) => (await page(on)).waitForSelector(target, { timeout: ms || 30000 }),
  text: async ({ on, target }) => (await page(on)).innerText(target, { timeout: 20000 }),
  size: async ({ on, width, height }) => (await page(on)).setViewportSize({ width, height }),
  shot: async ({ on, file }) => { await (await page(on)).screenshot({ path: file }); },
  close: async ({ on }) => { const it = await page(on); pages.delete(on); await it.close({ runBeforeUnload: true }); },
  // Luma of a tile's picture, and how many frames it has shown.
  picture: async ({ on, target }) => (await page(on)).evaluate(async (selector) => {
    const video = document.querySelector(selector);
    const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(video, 0, 0, 640, 360);
    const rgba = context.getImageData(0, 0, 640, 360).data;
    const luma = new Uint8Array(640 * 360);
    for (let p = 0; p < luma.length; p += 1) luma[p] = (rgba[4 * p] * 77 + rgba[4 * p + 1] * 150 + rgba[4 * p + 2] * 29) >> 8;
    const rgb = [0, 1, 2].map((c) => rgba.reduce((sum, v, i) => (i % 4 === c ? sum + v : sum), 0) / (640 * 360));
    const box = video.getBoundingClientRect();
    return {
      luma: btoa(Array.from(luma, (b) => String.fromCharCode(b)).join('')), rgb,
      frames: video.getVideoPlaybackQuality().totalVideoFrames, size: [video.videoWidth, video.videoHeight],
      box: [box.x, box.y, box.width, box.height],
    };
  }, target),
  // What a keyboard meets, in order.
  tabs: async ({ on, count }) => {
    const it = await page(on);
    const seen = [];
    for (let i = 0; i < count; i += 1) {
      await it.keyboard.press('Tab');
      seen.push(await it.evaluate(() => document.activeElement.id || document.activeElement.className));
    }
    return seen;
  },
};

say('ready');
for await (const line of readline.createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  try {
    say('done', { n: order.n, value: await orders[order.do](order) ?? null });
  } catch (error) {
    say('done', { n: order.n, error: String(error).slice(0, 600) });
  }
  if (order.last) break;
}
say('problems', { problems });
await browser.close();
for (const other of [strict, bare]) if (other) await other.close();
process.exit(0);
