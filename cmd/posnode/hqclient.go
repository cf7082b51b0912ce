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
	"github.com/posnode/posnode/web"
)

// hqAddress is what api.json in head office's data directory holds while it runs:
// how a command on the same machine reaches it.
type hqAddress struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

func hqAddressPath(dir string) string { return filepath.Join(dir, "api.json") }

// hqTokenPath is of the token alone: what scrapes /metrics takes it from a file, and that must hold nothing else.
func hqTokenPath(dir string) string { return filepath.Join(dir, "api.token") }

// write keeps the address where only who may read the data directory finds it.
func (a hqAddress) write(dir string) error {
	raw, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return errors.Join(embedded.WriteFileDurably(hqAddressPath(dir), raw), embedded.WriteFileDurably(hqTokenPath(dir), []byte(a.Token)))
}

// remove takes the address away.
func (hqAddress) remove(dir string) error {
	return errors.Join(os.Remove(hqAddressPath(dir)), os.Remove(hqTokenPath(dir)))
}

// runningHQ is the flag by which a command finds a head office that is up.
type runningHQ struct {
	Data string `required:"" type:"path" placeholder:"DIR" help:"Data directory of the head office, which must be running."`
}

// call asks the running head office. out takes the answer's JSON; nil for none.
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
