#!/usr/bin/env bash
# Reads the journals of all registers at head office with the nats command line, checks
# their chains, and prints the sales of each register and day. It is an example to copy:
# see docs/consuming.md. It needs nats, jq and sha256sum.
#
#   docs/consumers/cli.sh tls://hq.example:4222 books.creds books books.d
#
# books.d keeps what was read, an entry a line: the next run goes on behind it.
set -euo pipefail
url=$1 creds=$2 name=$3 dir=$4
export LC_ALL=C
mkdir -p "$dir"

# get prints the entries of a stream from a position on, at most 500; none at its end.
# An answer that is whole ends with an empty message, which nats prints as "nil body".
get() {
	nats --server "$url" --creds "$creds" --inbox-prefix "_INBOX.$name" \
		req --raw --no-templates --replies=0 --wait-for-empty --reply-timeout=5s \
		"\$JS.API.DIRECT.GET.$1" "{\"seq\":$2,\"batch\":500,\"max_bytes\":8388608}" </dev/null >"$dir/answer"
	grep -qx 'nil body' "$dir/answer" || { echo "error: no whole answer for $1 from $2" >&2; exit 1; }
	sed '/^nil body$/d; /^$/d' "$dir/answer"
}

for n in 0 1 2 3; do
	file=$dir/JOURNALS_$n.jsonl
	touch "$file"
	while
		# Nothing is ever deleted from these streams: as many lines, so many entries.
		get "JOURNALS_$n" $(($(wc -l <"$file") + 1)) >"$dir/batch"
		[ -s "$dir/batch" ]
	do
		cat "$dir/batch" >>"$file"
	done
done

# Each entry once, a file for each journal; what is no entry is told and left out.
rm -rf "$dir/journals"
mkdir "$dir/journals"
cat "$dir"/JOURNALS_?.jsonl |
	jq -rR '(fromjson? | (.source | sub("/stores/"; "") | sub("/registers/"; "-")) + "." + (.epoch | tostring)) // "none"' |
	paste - <(cat "$dir"/JOURNALS_?.jsonl) |
	awk -F '\t' -v dir="$dir/journals/" '$1 == "none" { print "finding: no entry: " $2; next } !seen[$2]++ { print $2 > (dir $1) }'

# The day of a sale is that of its shift. Amounts are integers; jq keeps them exact up to 2^53.
cat "$dir"/journals/* | jq -rs '
	(map(select(.type == "shift.opened.v1") | {(.data.shift): .data.business_date}) | add) as $days |
	map(select(.type == "sale.concluded.v1") | {
		key: "\(.source | sub("/stores/"; "") | sub("/registers/"; "-")) \($days[.shift // ""] // "") \(.data.terms.currency)",
		net: (.data.sales + .data.returns), digits: .data.terms.digits
	}) | group_by(.key)[] | [.[0].key, length, (map(.net) | add), .[0].digits] | @tsv' |
	awk -F '\t' '{ printf "%s %d documents %.*f\n", $1, $2, $4, $3 / 10 ^ $4 }'

# Every hash against the prevhash behind it, every number against its place.
ok=true
for journal in "$dir"/journals/*; do
	hashes=$({
		jq -j 'select(.sequence == "1").data.record' "$journal" | sha256sum
		while IFS= read -r body; do printf %s "$body" | sha256sum; done <"$journal"
	} | cut -c1-64)
	count=$(wc -l <"$journal")
	echo "$(basename "$journal" | sed 's/\./\//') $count entries, head $(tail -1 <<<"$hashes")"
	head -n -1 <<<"$hashes" | cmp -s - <(jq -r .prevhash "$journal") || { echo "finding: $journal: the chain is broken"; ok=false; }
	jq -r .sequence "$journal" | cmp -s - <(seq "$count") || { echo "finding: $journal: entries are missing"; ok=false; }
done
$ok && echo "chains ok"
