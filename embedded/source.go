package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Where an entry in a shard came from, head office's server says in the header Nats-Stream-Source. It takes
// away the ones that the sender wrote, and appends its own as the last line of the block. A sender can defeat the first: the
// server looks for keys behind CRLF alone and gives up in some places, while clients split the block at LF, stop at
// an empty line, and join what does not end with a line. So a value is only believed where the bytes of the block
// leave no doubt that the server wrote it.

const sourceHeader = "Nats-Stream-Source"

// errHeaders says that a block of headers is not as the server writes it for an entry of a register.
var errHeaders = errors.New("its headers are not as a register's server and head office's write them")

// plainSource returns the source of a message with no other headers than an entry has, each once, and in a block
// exactly as long as these take. A second source, or a line that nats.go has not read, needs more bytes than
// any other spelling of the headers could save. ok is false for every other message: its block must be looked at.
func plainSource(msg *nats.Msg) (source string, ok bool) {
	length := len("NATS/1.0\r\n\r\n")
	for key, values := range msg.Header {
		if len(values) != 1 || key != sourceHeader && key != nats.MsgIdHdr {
			return "", false
		}
		length += len(key) + len(": ") + len(values[0]) + len("\r\n")
	}
	source = msg.Header.Get(sourceHeader)
	block := msg.Size() - len(msg.Subject) - len(msg.Reply) - len(msg.Data)
	return source, source != "" && block == length
}

// serverSource returns the source that head office's server wrote into a block of headers: its last line. The error
// says that there is something in the block that no honest register's server writes. The source is
// right all the same, if it is not "".
func serverSource(block []byte) (source string, err error) {
	const end = "\r\n\r\n"
	at := bytes.LastIndex(block, []byte(sourceHeader+": "))
	if at < 0 || !bytes.HasSuffix(block, []byte(end)) {
		return "", errHeaders
	}
	source = string(block[at+len(sourceHeader+": ") : len(block)-len(end)])
	if strings.ContainsAny(source, "\r\n") {
		return "", errHeaders
	}
	lines := strings.Split(strings.TrimSuffix(string(block), end), "\r\n")
	if lines[0] != "NATS/1.0" {
		return source, errHeaders
	}
	for _, line := range lines[1:] {
		key, _, found := strings.Cut(line, ": ")
		switch {
		case !found || key == "" || strings.ContainsAny(line, "\r\n"):
			return source, errHeaders
		case strings.Contains(strings.ToLower(line), strings.ToLower(sourceHeader)) && line != sourceHeader+": "+source:
			return source, fmt.Errorf("%w: a second source", errHeaders)
		}
	}
	if lines[len(lines)-1] != sourceHeader+": "+source || strings.Count(string(block), sourceHeader) != 1 {
		return source, fmt.Errorf("%w: a second source", errHeaders)
	}
	return source, nil
}

// rawHeader returns the block of headers of a stored message, exactly as stored; nil where it cannot be read.
func (h *HQNode) rawHeader(ctx context.Context, stream string, sequence uint64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, oneTry)
	defer cancel()
	msg, err := h.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, fmt.Appendf(nil, `{"seq":%d}`, sequence))
	if err != nil {
		return nil, fmt.Errorf("read the headers of %s at %d: %w", stream, sequence, err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Header []byte `json:"hdrs"`
		} `json:"message"`
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return nil, fmt.Errorf("read the headers of %s at %d: %w", stream, sequence, err)
	}
	if answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
		return nil, nil
	}
	if answer.Error != nil {
		return nil, fmt.Errorf("read the headers of %s at %d: %w", stream, sequence, answer.Error)
	}
	return answer.Message.Header, nil
}

// parseSource reads a value of Nats-Stream-Source: "<name> <sequence> ...".
func parseSource(header string) (name string, seq uint64, err error) {
	fields := strings.Fields(header)
	if len(fields) < 2 {
		return "", 0, errors.New("no " + sourceHeader)
	}
	seq, err = strconv.ParseUint(fields[1], 10, 63)
	if err != nil {
		return "", 0, fmt.Errorf("%s %.100q: %w", sourceHeader, header, err)
	}
	return fields[0], seq, nil
}
