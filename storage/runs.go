package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"gorm.io/gorm"

	"deskbridge/bridge"
)

// Lease takes or prolongs a lease; see bridge.JobStore.
func (s jobs) Lease(ctx context.Context, name, holder string, now, until time.Time) (bool, error) {
	ours := false
	err := s.write(ctx, func(tx *gorm.DB) (err error) {
		ours, err = lease(tx, name, holder, now, until)
		return err
	})
	return ours && err == nil, err
}

func lease(tx *gorm.DB, name, holder string, now, until time.Time) (bool, error) {
	n, err := exec(tx, "UPDATE leases SET holder = ?, held_until = ? WHERE name = ? AND (holder = ? OR held_until <= ?)", holder, milli(until), name, holder, milli(now))
	if n > 0 || err != nil {
		return err == nil, err
	}
	held, err := list[string](tx, "SELECT holder FROM leases WHERE name = ?", name)
	if err != nil || len(held) > 0 {
		return false, err
	}
	_, err = exec(tx, "INSERT INTO leases (name, holder, held_until) VALUES (?, ?, ?)", name, holder, milli(until))
	return err == nil, err
}

// LeaseRun takes a job's lease for a person; see bridge.JobStore.
func (s jobs) LeaseRun(ctx context.Context, job, holder string, dryRun bool, now, until time.Time) (bool, error) {
	ours := false
	err := s.write(ctx, func(tx *gorm.DB) (err error) {
		if ours, err = lease(tx, bridge.RunLease+job, holder, now, until); err != nil || !ours {
			return err
		}
		return s.note(ctx, tx, bridge.AuditEntry{Action: "job.run", Subject: job, Changes: []bridge.FieldChange{{Field: "dry_run", To: strconv.FormatBool(dryRun)}}})
	})
	return ours && err == nil, err
}

// Leased lists leases that are held; see bridge.JobStore.
func (s jobs) Leased(ctx context.Context, prefix string, now time.Time) ([]string, error) {
	names, err := list[string](s.read.WithContext(ctx), "SELECT name FROM leases WHERE name >= ? AND name < ? AND held_until > ? ORDER BY name", prefix, prefix+"\x7f", milli(now))
	return names, failure(err)
}

// jobRun is a row of job_runs.
type jobRun struct {
	ID        int64
	Job       string
	Instance  string
	DryRun    bool
	StartedAt int64
	EndedAt   int64
	Counts    string
	Error     string
}

// RecordRun stores the record of a run; see bridge.JobStore.
func (s jobs) RecordRun(ctx context.Context, run bridge.JobRun) error {
	counts, err := json.Marshal(run.Counts)
	if err != nil {
		return fmt.Errorf("encode counts: %w", err)
	}
	return s.write(ctx, func(tx *gorm.DB) error {
		row := jobRun{
			Job: run.Job, Instance: run.Instance, DryRun: run.DryRun, StartedAt: milli(run.Started), EndedAt: milli(run.Ended),
			Counts: string(counts), Error: run.Error,
		}
		return tx.Create(&row).Error
	})
}

// Runs lists run records; see bridge.JobStore.
func (s jobs) Runs(ctx context.Context, q bridge.RunQuery) ([]bridge.JobRun, error) {
	find := s.read.WithContext(ctx).Order("id DESC").Limit(q.Limit)
	if q.Job != "" {
		find = find.Where("job = ?", q.Job)
	}
	if q.Before > 0 {
		find = find.Where("id < ?", q.Before)
	}
	var rows []jobRun
	if err := find.Find(&rows).Error; err != nil {
		return nil, failure(fmt.Errorf("read runs: %w", err))
	}
	runs := make([]bridge.JobRun, len(rows))
	for i, r := range rows {
		runs[i] = bridge.JobRun{ID: r.ID, Job: r.Job, Instance: r.Instance, DryRun: r.DryRun, Started: moment(r.StartedAt), Ended: moment(r.EndedAt), Error: r.Error}
		if err := json.Unmarshal([]byte(r.Counts), &runs[i].Counts); err != nil {
			return nil, fmt.Errorf("decode counts: %w", err)
		}
	}
	return runs, nil
}
