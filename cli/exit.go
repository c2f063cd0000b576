package cli

import (
	"errors"
	"fmt"
	"net"

	"deskbridge/bridge"
	"deskbridge/config"
	"deskbridge/jobs"
	"deskbridge/staff"
	"deskbridge/storage"
)

// The exit codes, one for each cause; docs/operate.md lists them.
const (
	ExitOK       = 0
	ExitFailure  = 1
	ExitUsage    = 2
	ExitConfig   = 3
	ExitDatabase = 4
	ExitSchema   = 5
	ExitKey      = 6
	ExitListen   = 7
	ExitNotFound = 8
	ExitConflict = 9
	ExitJob      = 10
	ExitHealth   = 11
	ExitRedis    = 12
	ExitZammad   = 13
	ExitInput    = 14
	ExitMail     = 15
)

// ExitCodes says what each exit code means, for the documentation.
func ExitCodes() map[int]string {
	return map[int]string{
		ExitOK:       "done; after SIGTERM or SIGINT: stopped in good order",
		ExitFailure:  "an error without a code of its own",
		ExitUsage:    "the command line is wrong",
		ExitConfig:   "the configuration is wrong",
		ExitDatabase: "the database cannot be opened, or does not answer",
		ExitSchema:   "the database has the schema of a newer version",
		ExitKey:      "the secret key is missing, unreadable or another one than the database was written with",
		ExitListen:   "the address cannot be listened on",
		ExitNotFound: "there is no such region, job, letter, delivery, account or token",
		ExitConflict: "it exists already, was changed by somebody else in the meantime, or runs already",
		ExitJob:      "the job failed",
		ExitHealth:   "health: nothing answers, or it is not well",
		ExitRedis:    "doctor: Redis is not reachable",
		ExitZammad:   "doctor: a region's Zammad is not reachable or not as it must be",
		ExitInput:    "a file that was named cannot be read, or a value in it or in a flag is not valid",
		ExitMail:     "doctor: the mail server is not reachable, or does not take the login",
	}
}

// codedError is an error with its exit code.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

func coded(code int, err error) error { return &codedError{code, err} }

// invalid is an error about what the caller gave.
func invalid(format string, args ...any) error {
	return coded(ExitInput, fmt.Errorf(format, args...))
}

// exitCode finds the code of an error's cause.
func exitCode(err error) int {
	var (
		withCode   *codedError
		unknownJob *jobs.UnknownJobError
	)
	switch {
	case errors.As(err, &withCode):
		return withCode.code
	case errors.Is(err, bridge.ErrRegionExists), errors.Is(err, bridge.ErrRegionChanged), errors.Is(err, bridge.ErrJobRunning), errors.Is(err, staff.ErrTokenTaken):
		return ExitConflict
	case errors.As(err, &unknownJob), errors.Is(err, bridge.ErrLetterUnknown), errors.Is(err, bridge.ErrDeliveryUnknown), errors.Is(err, staff.ErrTokenUnknown):
		return ExitNotFound
	default:
		return ExitFailure
	}
}

// opening gives the error of opening an installation its code.
func opening(err error) error {
	switch {
	case errors.Is(err, storage.ErrNewerSchema):
		return coded(ExitSchema, err)
	case errors.Is(err, storage.ErrWrongKey), errors.Is(err, config.ErrKey):
		return coded(ExitKey, err)
	default:
		return coded(ExitDatabase, err)
	}
}

// listening gives the error of an address that is taken its code.
func listening(err error) error {
	var network *net.OpError
	if errors.As(err, &network) && network.Op == "listen" {
		return coded(ExitListen, err)
	}
	return err
}
