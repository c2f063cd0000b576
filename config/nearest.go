package config

import (
	"maps"
	"slices"
	"strings"
)

// nearest finds the known name that takes the fewest changes of letters from
// name. A setting that stands under the wrong section is near by its own name.
func nearest[V any](name string, known map[string]V) string {
	best, distance := "", -1
	for _, candidate := range slices.Sorted(maps.Keys(candidates(known))) {
		d := changes(name, candidate)
		if own := changes(lastPart(name), lastPart(candidate)) + 1; strings.Contains(candidate, ".") {
			d = min(d, own)
		}
		if distance < 0 || d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

// candidates are the settings and their sections.
func candidates[V any](known map[string]V) map[string]bool {
	names := map[string]bool{}
	for name := range known {
		names[name] = true
		if section, _, nested := strings.Cut(name, "."); nested {
			names[section] = true
		}
	}
	return names
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// changes is the Levenshtein distance: how many letters to insert, remove or
// replace.
func changes(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
