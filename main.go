// Deskbridge lets the users of a mobile app chat with people who work in Zammad.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // opening hours name time zones, which a bare container does not know

	"deskbridge/cli"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

// run runs one command line and gives the exit code. SIGTERM and SIGINT end it
// in good order; a second one ends it at once.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop)
	return cli.Run(ctx, args, cli.World{Stdin: stdin, Stdout: stdout, Stderr: stderr, Environ: environ})
}
