// Headless Chromium for the scripts beside this one. Each gets one argument, JSON with `modules` (a node_modules) and `page` (the
// server's origin) among others, and prints one JSON object a line.
import { createRequire } from 'node:module';
import path from 'node:path';

export const args = JSON.parse(process.argv[2]);
export const say = (event, fields = {}) => console.log(JSON.stringify({ event, ...fields }));
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const { chromium } = createRequire(path.join(args.modules, 'x.js'))('playwright-core');

export const launch = (...flags) => chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', ...flags],
});

// A browser whose pages play sound at once, and one of its pages: livekit-client as `LivekitClient`, a <video id="v">, and `say`.
export const launchForCalls = (...flags) => launch('--autoplay-policy=no-user-gesture-required', ...flags);
export async function callPage(browser, { name, style = '' } = {}) {
  const page = await browser.newPage();
  page.on('pageerror', (error) => say('page_error', { name, message: String(error) }));
  await page.exposeFunction('say', say);
  await page.goto(`${args.page}/metrics`); // the page at / takes no script of anybody else
  await page.setContent(`<video id="v" autoplay muted playsinline style="${style}"></video>`);
  await page.addScriptTag({ path: path.join(args.modules, 'livekit-client/dist/livekit-client.umd.js') });
  return page;
}
