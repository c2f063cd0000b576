package bridge

import (
	"maps"
	"strings"
)

// Manage notes that a token set fields of the region over the settings API. The
// map is a new one, since regions in memory are shared.
func (r *Region) Manage(token string, fields []string) {
	managed := maps.Clone(r.Settings.Managed)
	if managed == nil {
		managed = make(map[string]string, len(fields))
	}
	for _, field := range fields {
		managed[field] = token
	}
	r.Settings.Managed = managed
}

// TakeBack gives fields to people again.
func (r *Region) TakeBack(fields ...string) {
	managed := maps.Clone(r.Settings.Managed)
	for _, field := range fields {
		if name, _ := r.ManagedBy(field); name != "" {
			delete(managed, name)
		}
	}
	r.Settings.Managed = managed
}

// ManagedBy says which managed field a field is, or is in ("reception.texts" for
// "reception.texts.de.away"), and the name of the token; empty: none.
func (r *Region) ManagedBy(field string) (managed, token string) {
	for name := field; name != ""; name = name[:max(0, strings.LastIndexByte(name, '.'))] {
		if token := r.Settings.Managed[name]; token != "" {
			return name, token
		}
	}
	return "", ""
}

// CheckManaged refuses a person's change of what another system sets.
func CheckManaged(from, to *Region) (FieldErrors, error) {
	changes, err := Changes(from, to)
	var errs FieldErrors
	for _, c := range changes {
		if _, token := to.ManagedBy(c.Field); token != "" {
			errs.Add(c.Field, "managed", token)
		}
	}
	return errs, err
}
