// The connection status page: the server renders it, this keeps it current and throws the switch.

// refresh puts the server's present rendering in the place of what is shown.
async function refresh() {
	const answer = await fetch("/connection", { cache: "no-store" });
	if (!answer.ok) throw new Error(answer.statusText);
	const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
	const said = document.getElementById("said")?.textContent ?? "";
	for (const id of ["header", "status"]) {
		document.getElementById(id).replaceWith(fresh.getElementById(id));
	}
	say(said);
	document.getElementById("switch")?.addEventListener("click", toggle);
}

function say(text) {
	const said = document.getElementById("said");
	if (said) said.textContent = text;
}

// One refresh at a time, and one more if something happened meanwhile.
let running = false, again = false;
async function changed() {
	if (running) {
		again = true;
		return;
	}
	running = true;
	try {
		do {
			again = false;
			await refresh();
		} while (again);
	} catch {
		lost();
	} finally {
		running = false;
	}
}

// lost says that this page does not know any more how the register stands.
function lost() {
	const mode = document.getElementById("mode");
	mode.textContent = "register not reached";
	mode.className = "mode unknown";
}

const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

// ulid makes an idempotency key: 48 bits of time and 80 of chance, five bits a letter.
function ulid() {
	let time = Date.now(), key = "";
	for (let i = 0; i < 10; i++) {
		key = digits[time % 32] + key;
		time = Math.floor(time / 32);
	}
	for (const byte of crypto.getRandomValues(new Uint8Array(16))) key += digits[byte % 32];
	return key;
}

// toggle is operation 917. The one who is signed on at this browser asks for it.
async function toggle(event) {
	event.target.disabled = true;
	say("");
	try {
		const answer = await fetch("/v1/operations/917", {
			method: "POST",
			headers: { "Idempotency-Key": ulid(), "Content-Type": "application/json" },
			body: "{}",
		});
		if (!answer.ok) {
			const problem = await answer.json();
			say([problem.detail, problem.instead].filter(Boolean).join(" "));
		}
	} catch {
		say("The register cannot be reached.");
	}
	await changed();
}

document.getElementById("switch")?.addEventListener("click", toggle);
const events = new EventSource("/v1/events");
events.addEventListener("status", changed);
events.addEventListener("error", lost);
