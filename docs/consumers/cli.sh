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

# get prints the entries of a stream from a position on, at most 500, each behind its position; none at the end.
# nats prints headers apart from bodies. An answer that is whole ends with an empty message, which has no position.
get() {
	nats --server "$url" --creds "$creds" --inbox-prefix "_INBOX.$name" \
		req --no-templates --replies=0 --wait-for-empty --reply-timeout=5s \
		"\$JS.API.DIRECT.GET.$1" "{\"seq\":$2,\"batch\":500,\"max_bytes\":8388608}" </dev/null >"$dir/bodies" 2>"$dir/headers" ||
		{ cat "$dir/headers" >&2; exit 1; }
	awk '$2 == "Received" { if (n++) print at; at = "end" } $2 == "Nats-Sequence:" { at = $3 } END { print at }' "$dir/headers" |
		paste -d ' ' - <(sed '/^$/d' "$dir/bodies") >"$dir/answer"
	[ "$(tail -1 "$dir/answer")" = "end nil body" ] || { echo "error: no whole answer for $1 from $2" >&2; exit 1; }
	sed '/^end /d' "$dir/answer"
}

# In the last one is what registers sent once more.
streams=(JOURNALS_0 JOURNALS_1 JOURNALS_2 JOURNALS_3 REPAIRS)
for stream in "${streams[@]}"; do
	touch "$dir/$stream" "$dir/$stream.before"
	while
		last=$(tail -1 "$dir/$stream")
		from=${last%% *}
		get "$stream" "${from:-1}" >"$dir/batch"
		if [ -n "$last" ] && [ "$(head -1 "$dir/batch")" != "$last" ]; then
			# Head office has lost the stream's end, and given its positions to other entries.
			cat "$dir/$stream" >>"$dir/$stream.before"
			: >"$dir/$stream"
		else
			tail -n "+$((from ? 2 : 1))" "$dir/batch" >"$dir/new"
			cat "$dir/new" >>"$dir/$stream"
			[ -s "$dir/new" ]
		fi
	do :; done
done
for stream in "${streams[@]}"; do cat "$dir/$stream.before" "$dir/$stream"; done | cut -d ' ' -f 2- >"$dir/all"

# Journal, number and prevhash of every entry; "none" of what is none.
jq -rR '
	def place: select((.source | test("^/stores/[a-z0-9]+/registers/[a-z0-9]+$")) and (.sequence | test("^[0-9]+$"))
		and (.epoch | type == "number") and (.prevhash | test("^[0-9a-f]+$"))) |
		"\(.source | sub("/stores/"; "") | sub("/registers/"; "-"))/\(.epoch) \(.sequence) \(.prevhash)";
	(fromjson? | place?) // "none 0 -"' "$dir/all" >"$dir/places"

# With them the hash of every entry, and what an epoch begins with: the hash of its activation record.
paste -d ' ' "$dir/places" "$dir/all" | while read -r journal sequence prevhash body; do
	hash=$(printf %s "$body" | sha256sum) begins=-
	[ "$sequence" != 1 ] || begins=$(jq -j '.data.record? // ""' <<<"$body" | sha256sum)
	echo "$journal $sequence $prevhash ${hash%% *} ${begins%% *} $body"
done | sort -s -k1,1 -k2,2n >"$dir/entries"

# Each entry that follows from the one before, once. What comes again is passed over, what does not follow is left out.
awk -v chains="$dir/chains" -v heads="$dir/heads" -v findings="$dir/findings" '
	BEGIN { printf "" >chains; printf "" >heads; printf "" >findings }
	function told() {
		if (taken) print journal, taken, "entries, head", head >heads
		if (left) print "finding: " journal ": entries that do not follow and are not counted: " left ", from entry " first " on" >findings
	}
	{ body = substr($0, length($1 $2 $3 $4 $5) + 6) }
	$1 == "none" { if (!seen[body]++) print "finding: no entry: " body >findings; next }
	$1 != journal { told(); journal = $1; taken = left = 0; head = "" }
	$2 == 1 && !taken { head = $5 "" }
	$2 == taken && $4 == head || seen[$1, $2, $4]++ { next }
	$2 == taken + 1 && $3 == head { taken++; head = $4 ""; print body >chains; next }
	!left++ { first = $2 }
	END { told() }' "$dir/entries"

# The day of a sale is that of its shift. Amounts are integers; jq keeps them exact up to 2^53.
jq -rs '
	(map(select(.type == "shift.opened.v1") | {(.data.shift): .data.business_date}) | add) as $days |
	map(select(.type == "sale.concluded.v1") | {
		key: "\(.source | sub("/stores/"; "") | sub("/registers/"; "-")) \($days[.shift // ""] // "") \(.data.terms.currency)",
		net: (.data.sales + .data.returns), digits: .data.terms.digits
	}) | group_by(.key)[] | [.[0].key, length, (map(.net) | add), .[0].digits] | @tsv' "$dir/chains" |
	awk -F '\t' '{ printf "%s %d documents %.*f\n", $1, $2, $4, $3 / 10 ^ $4 }'
cat "$dir/heads" "$dir/findings"
[ -s "$dir/findings" ] || echo "chains ok"
