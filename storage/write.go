package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"gorm.io/gorm"

	"deskbridge/bridge"
)

// maxBatch bounds how many changes share one commit, so that the first of them
// does not wait long for the last.
const maxBatch = 128

// committer is SQLite's writer. A commit that is on the disk costs a
// synchronised write whatever it holds, so changes that come while one is
// running share the next. One goroutine commits batch after batch while anybody
// waits; nothing runs when nobody does.
type committer struct {
	tx *gorm.DB // on pool

	open sync.Mutex // held while a batch runs
	pool *prepared

	mu      sync.Mutex
	busy    bool
	waiting []*change
}

// change is one caller's part of a batch.
type change struct {
	ctx   context.Context
	do    func(tx *gorm.DB) error
	done  chan struct{} // closed when err is there
	err   error
	panic any
	wrote bool // it ran something but SELECTs; set by watched
}

// write queues a change and returns when its commit is on the disk, or when it
// failed and was rolled back. A change whose ctx ends while it waits is not run;
// one that runs is not interrupted, since SQLite would drop the whole batch.
// A panic of do goes to its own caller.
func (w *committer) write(ctx context.Context, do func(tx *gorm.DB) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &change{ctx: ctx, do: do, done: make(chan struct{})}
	w.mu.Lock()
	w.waiting = append(w.waiting, c)
	if !w.busy {
		w.busy = true
		go w.work()
	}
	w.mu.Unlock()
	select {
	case <-c.done:
	case <-ctx.Done():
		if w.leave(c) {
			return ctx.Err()
		}
		<-c.done
	}
	if c.panic != nil {
		panic(c.panic)
	}
	return failure(c.err)
}

// Close closes the connection after the batch that runs. Changes that come later
// fail.
func (w *committer) Close() error {
	w.open.Lock()
	defer w.open.Unlock()
	return w.pool.Close()
}

// leave takes a change out of the queue; false says that it is in a batch.
func (w *committer) leave(c *change) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.waiting, c)
	if i < 0 {
		return false
	}
	w.waiting = slices.Delete(w.waiting, i, i+1)
	return true
}

// work commits what waits until nobody does.
func (w *committer) work() {
	for more := true; more; {
		w.mu.Lock()
		n := min(len(w.waiting), maxBatch)
		batch := slices.Clone(w.waiting[:n])
		w.waiting = slices.Delete(w.waiting, 0, n)
		w.mu.Unlock()
		if n > 0 { // else all have left
			if err := w.commit(batch); err != nil {
				for _, c := range batch {
					if c.err == nil {
						c.err = err
					}
				}
			}
		}
		w.mu.Lock()
		more = len(w.waiting) > 0
		w.busy = more
		w.mu.Unlock()
		for _, c := range batch {
			close(c.done)
		}
	}
}

// commit runs a batch in one transaction. Its error is that of the whole batch:
// then nothing was stored.
//
// Savepoints around the changes cost nearly as much as the changes do, so there
// are none at first. When a change fails halfway all is undone, and the batch
// runs again with each change in a savepoint of its own.
func (w *committer) commit(batch []*change) error {
	w.open.Lock()
	defer w.open.Unlock()
	err := w.try(batch, false)
	if errors.Is(err, errHalfway) {
		err = w.try(batch, true)
	}
	return err
}

// errHalfway says that a change of a batch without savepoints failed and may
// have left something; everything was undone.
var errHalfway = errors.New("a change failed halfway")

// try runs a batch once.
func (w *committer) try(batch []*change, savepoints bool) error {
	tx := w.tx.WithContext(context.WithoutCancel(batch[0].ctx))
	if _, err := exec(tx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	done := 0
	for _, c := range batch {
		if c.err = c.ctx.Err(); c.err != nil {
			continue
		}
		broken := w.run(c, savepoints)
		if broken == nil && !savepoints && len(batch) > 1 && c.halfway() {
			broken = errHalfway
		}
		if broken != nil {
			// After some errors, as of a full disk, SQLite has done it already
			// and refuses; were it another reason, the next BEGIN would tell.
			_, err := exec(tx, "ROLLBACK")
			return errors.Join(broken, err)
		}
		if c.err == nil && c.panic == nil {
			done++
		}
	}
	if done == 0 {
		_, err := exec(tx, "ROLLBACK")
		return err
	}
	if _, err := exec(tx, "COMMIT"); err != nil {
		_, undo := exec(tx, "ROLLBACK")
		return errors.Join(fmt.Errorf("commit: %w", err), undo)
	}
	return nil
}

// halfway says whether a change that failed may have left something. One that
// only looked and gave its answer has not.
func (c *change) halfway() bool {
	return c.panic != nil || c.err != nil && (c.wrote || errors.Is(failure(c.err), bridge.ErrStorage))
}

// run runs one change. Its error says that the transaction itself is broken.
func (w *committer) run(c *change, savepoint bool) error {
	tx := w.tx.WithContext(context.WithoutCancel(c.ctx))
	tx.Statement.ConnPool = &watched{tx.Statement.ConnPool, &c.wrote}
	if savepoint {
		if _, err := exec(tx, "SAVEPOINT one"); err != nil {
			return err
		}
	}
	func() {
		defer func() { c.panic = recover() }()
		c.err = c.do(tx)
	}()
	if !savepoint {
		return nil
	}
	if c.err != nil || c.panic != nil {
		if _, err := exec(tx, "ROLLBACK TO one"); err != nil {
			return errors.Join(c.err, err)
		}
	}
	_, err := exec(tx, "RELEASE one")
	return err
}

// watched notes whether a change ran anything but SELECTs.
type watched struct {
	gorm.ConnPool
	wrote *bool
}

// ExecContext runs a statement without rows.
func (p *watched) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	*p.wrote = true
	return p.ConnPool.ExecContext(ctx, query, args...)
}

// QueryContext runs a statement with rows, which an INSERT may have too.
func (p *watched) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if !strings.HasPrefix(query, "SELECT") {
		*p.wrote = true
	}
	return p.ConnPool.QueryContext(ctx, query, args...)
}

// QueryRowContext is the same for one row.
func (p *watched) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	*p.wrote = true
	return p.ConnPool.QueryRowContext(ctx, query, args...)
}
