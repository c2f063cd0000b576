package bridge

import (
	"context"
	"log/slog"
	"time"
)

// Defaults of how long things are kept that belong to no region.
const (
	DefaultDeliveryDays   = 7    // raw webhook deliveries
	DefaultExposureDays   = 90   // the gate's decisions
	DefaultJobRunDays     = 90   // records of jobs
	DefaultStatisticsDays = 1100 // numbers of hours: three years
	erasureDays           = 30   // receipts of erasures that are done
	alertDays             = 90   // notices that somebody waited
)

// unclaimedAfter is how long a content waits for the message that takes it. It
// comes within the same request, so what is older was left by a crash.
const unclaimedAfter = time.Hour

// KeeperDeps is what the Keeper needs.
type KeeperDeps struct {
	Jobs      JobStore
	Lanes     LaneStore
	Regions   *Regions
	Publisher Publisher
	Log       *slog.Logger
	Now       func() time.Time
	// Days; zero means the default.
	DeliveryDays, ExposureDays, JobRunDays, StatisticsDays int
	AuditDays                                              int // zero: the audit is kept for ever
}

// Keeper keeps house: what is older than the retention goes, and lanes that
// lost their due time get it back.
type Keeper struct{ KeeperDeps }

// NewKeeper puts a Keeper together.
func NewKeeper(deps KeeperDeps) *Keeper {
	for _, d := range []struct {
		days *int
		def  int
	}{{&deps.DeliveryDays, DefaultDeliveryDays}, {&deps.ExposureDays, DefaultExposureDays}, {&deps.JobRunDays, DefaultJobRunDays}, {&deps.StatisticsDays, DefaultStatisticsDays}} {
		if *d.days == 0 {
			*d.days = d.def
		}
	}
	return &Keeper{deps}
}

// Prune removes what is older than the retention and counts it by kind; a dry
// run counts what it would remove.
func (k *Keeper) Prune(ctx context.Context, dryRun bool) (map[string]int, error) {
	now := k.Now()
	days := func(n int) time.Time { return now.AddDate(0, 0, -n) }
	cutoffs := PruneCutoffs{
		Regions: make(map[RegionID]time.Time), Files: make(map[RegionID]time.Time), Unclaimed: now.Add(-unclaimedAfter),
		Deliveries: days(k.DeliveryDays), Exposures: days(k.ExposureDays), JobRuns: days(k.JobRunDays), Erasures: days(erasureDays),
		Statistics: days(k.StatisticsDays),
		Expired:    now, Alerts: days(alertDays),
	}
	if k.AuditDays > 0 {
		cutoffs.Audit = days(k.AuditDays)
	}
	for _, r := range k.Regions.All() {
		cutoffs.Regions[r.ID] = now.Add(-r.Retention())
		cutoffs.Files[r.ID] = now.Add(-r.KeepFiles())
	}
	counts, changes, err := k.Jobs.Prune(ctx, cutoffs, dryRun)
	if !dryRun {
		k.Publisher.Publish(changes...)
	}
	return counts, err
}

// Sweep finds lanes that have work but would never be looked at, and makes them
// due. None is expected: a count above zero is worth a look at the log.
func (k *Keeper) Sweep(ctx context.Context, dryRun bool) (map[string]int, error) {
	n, err := k.Lanes.Sweep(ctx, k.Now(), dryRun)
	if n > 0 {
		k.Log.WarnContext(ctx, "lanes without a due time were found", "lanes", n)
	}
	return map[string]int{"lanes": n}, err
}
