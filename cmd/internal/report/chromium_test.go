package report

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// chromium is a real browser without a window, spoken to with the DevTools
// protocol over a pair of pipes: messages in JSON, each ended by a NUL.
type chromium struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader

	mu      sync.Mutex
	last    int
	waiting map[int]chan answer
	events  []event // of all pages so far
}

type answer struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

type event struct {
	Method    string
	SessionID string
	Params    json.RawMessage
}

// answerTimeout is for a page to be laid out by a machine with much to do.
const answerTimeout = 30 * time.Second

func startChromium(t *testing.T) *chromium {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v: this test looks at a report in a real browser; `make test` installs it", err)
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
		"--disable-breakpad", "--user-data-dir="+t.TempDir(), "--remote-debugging-pipe")
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // descriptors 3 and 4
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = answerTimeout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	c := &chromium{t: t, in: in, out: bufio.NewReader(out), waiting: map[int]chan answer{}}
	read := make(chan struct{})
	go func() {
		defer close(read)
		c.read()
	}()
	t.Cleanup(func() {
		c.call("", "Browser.close", nil)
		in.Close()
		err := cmd.Wait()
		// What it had for helpers must not write to its folder any longer.
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		out.Close()
		<-read
		if err != nil || t.Failed() {
			t.Logf("chromium ended with %v and said:\n%s", err, stderr.String())
		}
	})
	return c
}

// read hands on what the browser says until it ends.
func (c *chromium) read() {
	for {
		line, err := c.out.ReadBytes(0)
		if err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, w := range c.waiting {
				close(w)
			}
			c.waiting = nil
			return
		}
		var m struct {
			ID int
			answer
			event
		}
		if json.Unmarshal(bytes.TrimSuffix(line, []byte{0}), &m) != nil {
			continue
		}
		c.mu.Lock()
		if w, ok := c.waiting[m.ID]; ok {
			delete(c.waiting, m.ID)
			w <- m.answer
		} else {
			c.events = append(c.events, m.event)
		}
		c.mu.Unlock()
	}
}

// call asks the browser, or one page of it, and waits for the answer.
func (c *chromium) call(session, method string, params any) (json.RawMessage, error) {
	w := make(chan answer, 1)
	c.mu.Lock()
	if c.waiting == nil {
		c.mu.Unlock()
		return nil, errors.New("chromium is gone")
	}
	c.last++
	id := c.last
	c.waiting[id] = w
	c.mu.Unlock()
	message := map[string]any{"id": id, "method": method}
	if session != "" {
		message["sessionId"] = session
	}
	if params != nil {
		message["params"] = params
	}
	line, err := json.Marshal(message)
	if err != nil {
		return nil, err
	}
	if _, err := c.in.Write(append(line, 0)); err != nil {
		return nil, err
	}
	select {
	case a, ok := <-w:
		switch {
		case !ok:
			return nil, fmt.Errorf("%s: chromium is gone", method)
		case a.Error != nil:
			return nil, fmt.Errorf("%s: %s", method, a.Error.Message)
		}
		return a.Result, nil
	case <-time.After(answerTimeout):
		return nil, fmt.Errorf("%s: no answer within %v", method, answerTimeout)
	}
}

// tab is one page in the browser.
type tab struct {
	*chromium
	session string
}

func (c *chromium) newTab() *tab {
	c.t.Helper()
	t := &tab{chromium: c}
	var target struct{ TargetID string }
	t.must("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	t.must("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	t.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		t.must(domain+".enable", nil, nil)
	}
	return t
}

func (t *tab) must(method string, params, result any) {
	t.t.Helper()
	raw, err := t.call(t.session, method, params)
	if err == nil && result != nil {
		err = json.Unmarshal(raw, result)
	}
	if err != nil {
		t.t.Fatal(err)
	}
}

// emulate sets the width of the page and the colours that its reader prefers.
func (t *tab) emulate(width int, colours string) {
	t.t.Helper()
	t.must("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}, nil)
	t.must("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": colours}}}, nil)
}

// open loads a page and waits until it is laid out.
func (t *tab) open(url string) {
	t.t.Helper()
	t.must("Page.navigate", map[string]any{"url": url}, nil)
	t.eval(`new Promise(done => document.readyState === "complete" ? done() : addEventListener("load", () => done()))`, nil)
}

// eval gives the value of an expression in the page.
func (t *tab) eval(expression string, value any) {
	t.t.Helper()
	var got struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	t.must("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &got)
	if got.ExceptionDetails != nil {
		t.t.Fatalf("%s: %s", expression, got.ExceptionDetails)
	}
	if value != nil {
		if err := json.Unmarshal(got.Result.Value, value); err != nil {
			t.t.Fatalf("%s: %v", expression, err)
		}
	}
}

// heard are the events of this page with one of the methods.
func (t *tab) heard(method string) (all []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.events {
		if e.SessionID == t.session && e.Method == method {
			all = append(all, string(e.Params))
		}
	}
	return all
}

// data calls a method that answers with bytes.
func (t *tab) data(method string, params any) []byte {
	t.t.Helper()
	var got struct{ Data string }
	t.must(method, params, &got)
	raw, err := base64.StdEncoding.DecodeString(got.Data)
	if err != nil {
		t.t.Fatal(err)
	}
	return raw
}
