package cli

import (
	"slices"
	"strings"

	"deskbridge/bridge"
	"deskbridge/files"
)

// fileFlags are the settings of a region about files; nil means not given.
type fileFlags struct {
	FileKinds      []string `help:"Kinds of files that devices may send: jpeg,png,webp,pdf,text; all; none. Default: all." placeholder:"KIND"`
	MaxFiles       *int     `help:"Files of a message. Default, and at most: what the configuration allows (limits.files)." placeholder:"N"`
	MaxFileBytes   *int64   `help:"Largest file, in bytes. The same (limits.file_bytes)." placeholder:"N"`
	MaxFilesBytes  *int64   `help:"All files of a message, in bytes. The same (limits.message_file_bytes)." placeholder:"N"`
	KeepFilesHours *int     `help:"Hours that a user's file stays here after Zammad has shown that it has it. Default 24." placeholder:"N"`
}

// apply changes settings by the given flags.
func (f *fileFlags) apply(set *bridge.RegionSettings) {
	assign(&set.MaxFiles, f.MaxFiles)
	assign(&set.MaxFileBytes, f.MaxFileBytes)
	assign(&set.MaxFilesBytes, f.MaxFilesBytes)
	assign(&set.KeepFilesHours, f.KeepFilesHours)
	if f.FileKinds != nil {
		set.FileKinds = f.FileKinds
		if slices.Equal(f.FileKinds, []string{"all"}) {
			set.FileKinds = nil
		}
	}
}

// checkFiles holds the settings about files against their range.
func checkFiles(set bridge.RegionSettings, want func(ok bool, format string, args ...any)) {
	if !slices.Equal(set.FileKinds, []string{bridge.NoFiles}) {
		for _, kind := range set.FileKinds {
			want(slices.Contains(files.Names(), kind), "--file-kinds: %q is none of %s, all, none", kind, strings.Join(files.Names(), ", "))
		}
	}
	want(set.MaxFiles >= 0 && set.MaxFiles <= 100, "--max-files must be from 1 to 100 (0: default)")
	want(set.MaxFileBytes >= 0 && set.MaxFilesBytes >= 0, "--max-file-bytes and --max-files-bytes must not be negative (0: default)")
	want(set.KeepFilesHours >= 0 && set.KeepFilesHours <= 24*3650, "--keep-files-hours must be from 1 to 87600 (0: default)")
}
