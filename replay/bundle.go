package replay

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/klauspost/compress/zstd"

	"github.com/posnode/posnode/events"
)

// bundleSuffix is the end of a compressed bundle's file name.
const bundleSuffix = ".zst"

// Bundle is an exported journal: one stored entry per line, byte for byte,
// epochs one after the other. A name that ends in .zst is compressed with zstd.
type Bundle struct{ path string }

// OpenBundle checks that path is a regular file that can be opened. Each Read opens the file again,
// for reading only.
func OpenBundle(path string) (*Bundle, error) {
	f, _, err := openFile(path)
	if err != nil {
		return nil, err
	}
	return &Bundle{path}, f.Close()
}

// openFile opens a regular file. On a named pipe it returns an error and does not wait for a
// writer.
func openFile(path string) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", path)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// A compressed file of a few bytes can unpack to any amount of data. These bounds are far above the
// needs of a journal. Hashes and ids do not compress well, so that a journal becomes about twenty
// times smaller at most.
const (
	// maxWindow is the largest window of the decoder, in bytes. Export needs 8 MiB.
	maxWindow = 32 << 20
	// The content may have freeBytes bytes, and maxRatio times the size of the file in addition.
	maxRatio  = 1000
	freeBytes = 16 << 20
)

// contextReader reads until ctx ends. It checks ctx at each read, because one line may be as long
// as the file.
type contextReader struct {
	ctx context.Context
	in  io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.in.Read(p)
}

// boundedReader returns errTooLarge when more than left bytes have been read.
type boundedReader struct {
	in   io.Reader
	left int64
}

var errTooLarge = fmt.Errorf("the content is more than %d times as large as the file: no journal is", maxRatio)

func (b *boundedReader) Read(p []byte) (n int, err error) {
	n, err = b.in.Read(p[:min(int64(len(p)), max(b.left+1, 0))])
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// Read implements [Source]. It returns a *[events.CorruptError] without a sequence for a line
// without an end, and for compressed data that cannot be read further.
func (b *Bundle) Read(ctx context.Context, yield func(int, events.Message) error) error {
	f, size, err := openFile(b.path)
	if err != nil {
		return err
	}
	defer f.Close()
	var in io.Reader = contextReader{ctx, f}
	if strings.HasSuffix(b.path, bundleSuffix) {
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return unreadable(1, err)
		}
		defer z.Close()
		in = &boundedReader{z, freeBytes + maxRatio*min(size, 1<<50)}
	}
	return readLines(ctx, in, yield)
}

func readLines(ctx context.Context, in io.Reader, yield func(int, events.Message) error) error {
	r := bufio.NewReaderSize(in, 256<<10)
	for number := 1; ; number++ {
		line, err := readLine(r)
		if err == io.EOF && len(line) == 0 {
			return nil
		}
		if err != nil && err != io.EOF {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return unreadable(number, err)
		}
		if err := yield(0, events.Message{Body: bytes.TrimSuffix(line, []byte("\n"))}); err != nil {
			return err
		}
		if err == io.EOF {
			return &events.CorruptError{
				Kind: KindTruncated, Want: "a line end", Got: "the end of the file",
				Hint: fmt.Sprintf("the end of line %d, and perhaps more after it, is missing", number),
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// readLine reads one line with its end. If the line is longer than any entry, it keeps just more
// than [events.MaxBody] bytes. That is enough for Decode to refuse it as too long.
func readLine(r *bufio.Reader) (line []byte, err error) {
	for {
		var part []byte
		part, err = r.ReadSlice('\n')
		if len(line) <= events.MaxBody {
			line = append(line, part...)
		}
		if err != bufio.ErrBufferFull {
			return line, err
		}
	}
}

func unreadable(line int, err error) error {
	kind := KindUnreadable
	if errors.Is(err, errTooLarge) || errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		kind = KindTooLarge
	}
	return &events.CorruptError{
		Kind: kind, Want: "line " + strconv.Itoa(line), Got: err.Error(),
		Hint: "nothing from this line on could be read; another copy of the bundle may be whole",
	}
}

// WriteBundle writes the whole of src to w as the lines of a bundle. It leaves out an entry that
// cannot be a line, because it has no body or holds a line end. Only damage makes such an entry.
// WriteBundle returns the last of them as a *[events.CorruptError].
func WriteBundle(ctx context.Context, w io.Writer, src Source) error {
	out := bufio.NewWriterSize(w, 256<<10)
	var left error
	err := src.Read(ctx, func(_ int, m events.Message) error {
		if m.Body == nil || bytes.IndexByte(m.Body, '\n') >= 0 {
			left = &events.CorruptError{Sequence: m.Sequence, Kind: KindUndecodable, Want: "one line", Got: strconv.Quote(clip(m.Body)), Hint: "it is not in the bundle; all others are"}
			return nil
		}
		// The first error sticks, and Flush returns it.
		out.Write(m.Body)
		return out.WriteByte('\n')
	})
	return errors.Join(err, left, out.Flush())
}

// Export writes src to a new bundle file, compressed if the name ends in .zst. It never overwrites
// a file. If the journal is damaged, the file holds the readable entries and Export returns the
// *[events.CorruptError]. After any other error it removes the file.
func Export(ctx context.Context, path string, src Source) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if _, corrupt := errors.AsType[*events.CorruptError](err); err != nil && !corrupt {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if !strings.HasSuffix(path, bundleSuffix) {
		return errors.Join(WriteBundle(ctx, f, src), f.Sync())
	}
	z, err := zstd.NewWriter(f)
	if err != nil {
		return err
	}
	return errors.Join(WriteBundle(ctx, z, src), z.Close(), f.Sync())
}
