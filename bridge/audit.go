package bridge

import "context"

// auditStep is how many entries are read at a time.
const auditStep = 500

// EachEntry calls visit for every entry that a query finds, the newest first,
// until one fails, and gives that error. Entries are read in steps, so that they
// may be more than fit into memory; Limit is not looked at. What is noted
// meanwhile is not among them.
func EachEntry(ctx context.Context, store AuditStore, q AuditQuery, visit func(AuditEntry) error) error {
	for q.Limit = auditStep; ; {
		entries, err := store.Audit(ctx, q)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := visit(e); err != nil {
				return err
			}
			q.Before = e.ID
		}
		if len(entries) < q.Limit {
			return nil
		}
	}
}
