package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hapair/remote/lab"
)

// TestLabCommands is hapair lab as people use it, from nothing to nothing.
func TestLabCommands(t *testing.T) {
	t.Parallel()
	program, err := hapairProgram()
	if err != nil {
		t.Fatal(err)
	}
	name := ours + "cli"
	file := filepath.Join(t.TempDir(), "hapair.hcl")
	if err := os.WriteFile(file, []byte(edited(t, quickstart(t), `pair "quickstart"`, `pair "`+name+`"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	hapair := func(code int, args ...string) string {
		t.Helper()
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "NO_COLOR=1")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		got := 0
		var exit *exec.ExitError
		if err := cmd.Run(); errors.As(err, &exit) {
			got = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if got != code {
			t.Fatalf("hapair %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, &out)
		}
		return out.String()
	}
	says := func(said, want string) {
		t.Helper()
		if !strings.Contains(said, want) {
			t.Errorf("%q is missing in\n%s", want, said)
		}
	}

	says(hapair(1, "lab", "exec", "-f", file, "--", "true"), "there is no lab")
	says(hapair(0, "lab", "up", "-f", file), addressA)
	t.Cleanup(func() { hapair(0, "lab", "down", "-f", file) })
	says(hapair(1, "lab", "up", "-f", file), "already")
	says(hapair(0, "lab", "ssh", "-f", file, "a", "hostname; ip -brief address show eth3"), addressA+"/24")
	says(hapair(0, "lab", "ssh", "-f", file, "b", "hostname"), "b\n")
	// hapair finds the hosts' keys by itself, and the exit code is the command's.
	says(hapair(2, "lab", "exec", "-f", file, "--", program, "status", "-f", file), "the pair is not installed")
	hapair(7, "lab", "exec", "-f", file, "--", "sh", "-c", "exit 7")
	hapair(0, "lab", "up", "-f", file, "--recreate")

	hapair(0, "lab", "down", "-f", file)
	hapair(0, "lab", "down", "-f", file)
	if _, err := lab.Open(name); !errors.Is(err, lab.ErrNotExist) {
		t.Errorf("after lab down: %v", err)
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || bytes.Contains(mounts, []byte(name)) {
		t.Errorf("mounts are left, or unknown: %v\n%s", err, mounts)
	}
	if _, err := os.Stat("/run/netns/hapair-" + name); err == nil {
		t.Error("a network namespace is left")
	}
	if out, err := exec.Command("ps", "-eo", "pid,args").Output(); err != nil || strings.Contains(string(out), name) {
		t.Errorf("processes are left, or unknown: %v\n%s", err, out)
	}
}
