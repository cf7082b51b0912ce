package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/internal/files"
	"github.com/posnode/posnode/web"
)

// hqAddress is the content of api.json in head office's data directory. The file exists while head
// office runs, and commands on the same machine find its API by it.
type hqAddress struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

func hqAddressPath(dir string) string { return filepath.Join(dir, "api.json") }

// hqTokenPath returns the path of a file that holds the token alone. A scraper of /metrics reads
// its token from a file that must hold nothing else.
func hqTokenPath(dir string) string { return filepath.Join(dir, "api.token") }

// write stores the address and the token in the data directory. They are as private as that
// directory.
func (a hqAddress) write(dir string) error {
	raw, err := json.Marshal(a)
	if err != nil {
		return err
	}
	for path, content := range map[string][]byte{hqAddressPath(dir): raw, hqTokenPath(dir): []byte(a.Token)} {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			if _, err := files.SetAside(path); err != nil {
				return err
			}
		}
		if err := embedded.WriteFileDurably(path, content); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes both files.
func (hqAddress) remove(dir string) error {
	return errors.Join(os.Remove(hqAddressPath(dir)), os.Remove(hqTokenPath(dir)))
}

// runningHQ is the flag of the commands that need a running head office.
type runningHQ struct {
	Data string `required:"" type:"path" placeholder:"DIR" help:"Data directory of the head office, which must be running."`
}

// call sends a request to the running head office. It decodes the answer's JSON into out, unless
// out is nil.
func (c runningHQ) call(ctx context.Context, method, path string, in io.Reader, out any) error {
	raw, err := os.ReadFile(hqAddressPath(c.Data))
	if errors.Is(err, fs.ErrNotExist) {
		return hinted{fmt.Errorf("head office in %s is not running", c.Data), "start it with 'posnode hq run --data " + c.Data + "'"}
	}
	var at hqAddress
	if err == nil {
		err = json.Unmarshal(raw, &at)
	}
	if err != nil {
		return fmt.Errorf("find head office: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, at.URL+path, in)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+at.Token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return hinted{fmt.Errorf("reach head office: %w", err), "is it still running?"}
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		var p web.Problem
		if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
			return fmt.Errorf("head office answered %s", resp.Status)
		}
		return hinted{&p, p.Instead}
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}
