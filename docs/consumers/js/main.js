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
// In the last one is what registers sent once more.
for (const stream of ["JOURNALS_0", "JOURNALS_1", "JOURNALS_2", "JOURNALS_3", "REPAIRS"]) {
  await read(stream);
  // If we died before this, all of the stream comes again; the state is the one before it.
  if (path) {
    writeFileSync(`${path}.new`, JSON.stringify(state));
    renameSync(`${path}.new`, path);
  }
}
await nc.close();
print();

// read takes what a stream has behind the position, a batch at a time.
async function read(stream) {
  let again;
  for (;;) {
    const last = state.positions[stream];
    const messages = await get(stream, last?.sequence ?? 1);
    if (last) {
      // Where another entry stands there now, head office has lost the stream's end, and given its positions to others.
      if (messages.length === 0 || sha256(messages[0].data).toString("hex") !== last.hash) {
        delete state.positions[stream]; // what was read before is passed over
        continue;
      }
      messages.shift();
    }
    if (messages.length === 0) return;
    for (const m of messages) {
      const next = (state.positions[stream]?.sequence ?? 0) + 1;
      if (m.seq !== next && again !== next) {
        again = next; // an answer was lost on the way, or head office cannot read it any more: then it comes in REPAIRS
        break;
      }
      try {
        apply(stream, m);
      } catch (err) {
        const found = `${stream} ${m.seq}: ${err.message}`;
        if (!state.findings.includes(found)) state.findings.push(found); // and what is behind it goes on
      }
      state.positions[stream] = { sequence: m.seq, hash: sha256(m.data).toString("hex") };
    }
  }
}

// get asks for the entries of a stream from a position on: none at its end.
async function get(stream, from) {
  const messages = [];
  try {
    for await (const m of await jsm.direct.getBatch(stream, { seq: from, batch: 500, max_bytes: 8 << 20 })) messages.push(m);
  } catch (err) {
    if (err.code !== 404 && err.status !== 404) throw err; // 404: nothing from there on
  }
  return messages;
}

// apply takes one entry, once, and what has waited for it.
function apply(stream, m) {
  const e = JSON.parse(m.string());
  const register = e.source.replace("/stores/", "").replace("/registers/", "-");
  const journal = `${register}/${e.epoch}`;
  const sequence = Number(e.sequence);
  const from = stream === "REPAIRS" ? m.subject : m.header.last("Nats-Stream-Source");
  const came =
    stream === "REPAIRS"
      ? from === `repair.${register}` || from === `up.${register}.repair` // the oldest
      : from.startsWith(`JOURNAL_${e.epoch}:${short(`$JS.${register}.API`)}:C=${short("hq")} ${sequence} `);
  if (!came) throw new Error(`it says it is entry ${sequence} of ${journal}, but came from ${from}`);

  // Of a journal: the hashes of the entries taken, behind the one that entry 1 begins with, so that an entry that
  // comes again is told from another in its place; and the entries that follow none of these, by their place.
  const chain = (state.chains[journal] ??= { hashes: [], waiting: {} });
  if (sequence === 1 && chain.hashes.length === 0) {
    const begins = sha256(e.data.record).toString("hex");
    if (begins === e.prevhash) chain.hashes.push(begins);
  }
  const hash = sha256(m.data).toString("hex"); // of the bytes as they are, never encoded again
  if (chain.hashes[sequence] === hash) return; // it came before
  const body = Buffer.from(m.data).toString("base64");
  let at = place(sequence, e.prevhash);
  const second = `${at}, not ${hash}`; // two want one place: it is that of who came first
  if ((chain.waiting[at] ?? body) !== body || second in chain.waiting) at = second;
  chain.waiting[at] = body;

  // What waits and follows.
  while (chain.hashes.length > 0 && (at = place(chain.hashes.length, chain.hashes.at(-1))) in chain.waiting) {
    const bytes = Buffer.from(chain.waiting[at], "base64");
    delete chain.waiting[at];
    chain.hashes.push(sha256(bytes).toString("hex"));
    count(register, JSON.parse(bytes));
  }
}

// place is where an entry belongs: its number, and the hash of the one before.
function place(sequence, prevhash) {
  return `${sequence} behind ${prevhash}`;
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
  const findings = [...state.findings];
  for (const [journal, { hashes, waiting }] of lines(state.chains)) {
    if (hashes.length > 1) console.log(`${journal} ${hashes.length - 1} entries, head ${hashes.at(-1)}`);
    const places = Object.keys(waiting).map((at) => parseInt(at));
    if (places.length > 0) findings.push(`${journal}: entries that do not follow and are not counted: ${places.length}, from entry ${Math.min(...places)} on`);
  }
  for (const finding of findings) console.log(`finding: ${finding}`);
  if (findings.length === 0) console.log("chains ok");
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
