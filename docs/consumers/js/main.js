// Reads the journals of all registers at head office, checks their chains, and prints
// the sales of each register and day. It is an example to copy: see docs/consuming.md.
//
//   npm install && node main.js tls://hq.example:4222 books.creds books [state.json]
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { connect, credsAuthenticator } from "@nats-io/transport-node";
import { jetstreamManager } from "@nats-io/jetstream";

const [url, creds, name, path] = process.argv.slice(2);

// What was read and what came of it, stored together. All amounts are integers below 2^53; their sums are BigInts, kept as text.
let state = { positions: {}, chains: {}, days: {}, totals: {}, findings: [] };
if (path && existsSync(path)) state = JSON.parse(readFileSync(path, "utf8"));

const nc = await connect({
  servers: url,
  authenticator: credsAuthenticator(readFileSync(creds)),
  inboxPrefix: `_INBOX.${name}`,
});
const jsm = await jetstreamManager(nc, { checkAPI: false }); // a reader may not ask for the account
for (const stream of ["JOURNALS_0", "JOURNALS_1", "JOURNALS_2", "JOURNALS_3"]) {
  while (await readBatch(stream));
}
await nc.close();
print();

// readBatch takes what the stream has behind the position, and says whether it had anything.
async function readBatch(stream) {
  const from = (state.positions[stream] ?? 0) + 1;
  let next = from;
  try {
    for await (const m of await jsm.direct.getBatch(stream, { seq: from, batch: 500, max_bytes: 8 << 20 })) {
      // An answer was lost on the way, or head office's own store is damaged.
      if (m.seq !== next) throw new Error(`${stream}: entry ${m.seq} came where ${next} was to come`);
      const found = apply(m);
      if (found) state.findings.push(`${stream} ${m.seq}: ${found}`);
      state.positions[stream] = next++;
    }
  } catch (err) {
    if (err.code !== 404 && err.status !== 404) throw err; // 404: nothing behind the position
  }
  // If we died before this, the batch comes again; the state is the one before it.
  if (path && next > from) {
    writeFileSync(`${path}.new`, JSON.stringify(state));
    renameSync(`${path}.new`, path);
  }
  return next > from;
}

// apply takes one entry, once, and returns what is wrong with it, if anything.
function apply(m) {
  let e;
  try {
    e = JSON.parse(m.string());
  } catch (err) {
    return err.message;
  }
  const register = e.source.replace("/stores/", "").replace("/registers/", "-");
  const journal = `${register}/${e.epoch}`;
  const sequence = Number(e.sequence);
  const from = m.header.get("Nats-Stream-Source");
  if (!from.startsWith(`JOURNAL_${e.epoch}:${short(`$JS.${register}.API`)}:C=${short("hq")} ${sequence} `)) {
    return `it says it is entry ${sequence} of ${journal}, but came from ${from}`;
  }
  // What an epoch begins with is the hash of its activation record.
  const chain = (state.chains[journal] ??= { sequence: 0, hash: sha256(e.data.record ?? "").toString("hex") });
  if (sequence <= chain.sequence) return; // it came before
  let found;
  if (sequence !== chain.sequence + 1) {
    found = `${journal}: entry ${sequence} follows entry ${chain.sequence}`;
  } else if (e.prevhash !== chain.hash) {
    found = `${journal}: entry ${sequence} is not the one that follows entry ${chain.sequence}`;
  }
  chain.sequence = sequence;
  chain.hash = sha256(m.data).toString("hex"); // of the bytes as they are, never encoded again
  count(register, e);
  return found;
}

function count(register, e) {
  switch (e.type) {
    case "shift.opened.v1":
      state.days[e.data.shift] = e.data.business_date;
      break;
    case "sale.concluded.v1": {
      const { terms, sales, returns } = e.data;
      const key = `${register} ${state.days[e.shift] ?? ""} ${terms.currency}`;
      const total = (state.totals[key] ??= { documents: 0, net: "0", digits: terms.digits });
      total.documents++;
      total.net = String(BigInt(total.net) + BigInt(sales) + BigInt(returns));
    }
  }
}

function print() {
  const lines = (of) => Object.entries(of).sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [key, t] of lines(state.totals)) console.log(`${key} ${t.documents} documents ${decimal(t.net, t.digits)}`);
  for (const [journal, c] of lines(state.chains)) console.log(`${journal} ${c.sequence} entries, head ${c.hash}`);
  for (const finding of state.findings) console.log(`finding: ${finding}`);
  if (state.findings.length === 0) console.log("chains ok");
}

// decimal writes minor units with the digits of their currency.
function decimal(net, digits) {
  const sign = net.startsWith("-") ? "-" : "";
  const text = net.replace("-", "").padStart(digits + 1, "0");
  return sign + (digits ? `${text.slice(0, -digits)}.${text.slice(-digits)}` : text);
}

function sha256(bytes) {
  return createHash("sha256").update(bytes).digest();
}

// short is nats-server's hash of a name.
function short(s) {
  const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  return [...sha256(s).subarray(0, 8)].map((b) => digits[b % 62]).join("");
}
