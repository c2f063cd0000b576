package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be the program, so that a real process can be
// sent real signals.
func TestMain(m *testing.M) {
	if os.Getenv("DESKBRIDGE_TEST_AS_PROGRAM") != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestSIGTERMStopsInGoodOrder(t *testing.T) {
	t.Parallel()
	program := exec.Command(os.Args[0], "serve")
	program.Env = append(os.Environ(), "DESKBRIDGE_TEST_AS_PROGRAM=1", "DESKBRIDGE_LISTEN=127.0.0.1:0", "DESKBRIDGE_DATA_DIR="+filepath.Join(t.TempDir(), "data"))
	log, err := program.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	giveUp := time.AfterFunc(30*time.Second, func() { _ = program.Process.Kill() })
	defer giveUp.Stop()
	signalled := false
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if strings.Contains(lines.Text(), "msg=serving") {
			signalled = true
			if err := program.Process.Signal(syscall.SIGTERM); err != nil {
				t.Error(err)
			}
		}
	}
	if err := program.Wait(); err != nil || !signalled {
		t.Errorf("exit: %v, it said that it serves: %v", err, signalled)
	}
}
