package app

import (
	"deskbridge/bridge"
	"deskbridge/files"
	"deskbridge/identity"
	"deskbridge/zammad"
)

// RegionRules are the rules that every change of a region obeys, whoever makes it.
func RegionRules() bridge.RegionRules {
	return bridge.RegionRules{FileKinds: files.Names(), CheckKeys: identity.CheckKeys, ZammadURL: zammad.NormalizeURL}
}
