// Head office's page: the server renders it, this keeps it current.

const every = 5000; // milliseconds

async function refresh() {
	const answer = await fetch("/", { cache: "no-store" });
	if (!answer.ok) throw new Error(answer.statusText);
	const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
	for (const id of ["header", "status"]) {
		document.getElementById(id).replaceWith(fresh.getElementById(id));
	}
}

async function keep() {
	try {
		await refresh();
	} catch {
		const mode = document.getElementById("mode");
		mode.textContent = "head office not reached";
		mode.className = "mode unknown";
	}
	setTimeout(keep, every);
}

setTimeout(keep, every);
