// Stops with one clear sentence when Node is older than 20.
//
// Import this first: the modules after it may then use what Node 20 has. It works by being imported,
// and uses nothing itself that an old Node lacks. Wrangler and Miniflare ask for Node 22; they get it
// from the npm package `node`, so 20 is enough to start from (`project.mjs`).

const NODE_MAJOR_MIN = 20;

if (Number(process.versions.node.split('.')[0]) < NODE_MAJOR_MIN) {
  console.error(
    `Waypost needs Node ${NODE_MAJOR_MIN} or newer, and this is ${process.version}. ` +
      'Install a current one from https://nodejs.org (or with your version manager: nvm install 22) and try again.',
  );
  process.exit(1);
}
