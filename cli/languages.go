package cli

import (
	"cmp"
	"strings"

	"deskbridge/bridge"
)

// languages reads "de" or "de=Deutsch". A code without a name gets the one that
// its speakers use, where it is known here, else the code itself.
func languages(given []string) []bridge.Language {
	list := make([]bridge.Language, 0, len(given))
	for _, entry := range given {
		code, name, _ := strings.Cut(strings.TrimSpace(entry), "=")
		base, _, _ := strings.Cut(code, "-")
		list = append(list, bridge.Language{Code: code, NativeName: cmp.Or(name, nativeName(code), nativeName(base), code)})
	}
	return list
}

// nativeName gives the name of a language in itself; empty if it is not known.
func nativeName(code string) string {
	return map[string]string{
		"am": "አማርኛ", "ar": "العربية", "az": "Azərbaycan", "bg": "Български", "bn": "বাংলা", "bs": "Bosanski",
		"cs": "Čeština", "da": "Dansk", "de": "Deutsch", "de-si": "Deutsch (leicht)", "el": "Ελληνικά", "en": "English",
		"es": "Español", "et": "Eesti", "fa": "فارسی", "fi": "Suomi", "fr": "Français", "ha": "Hausa", "he": "עברית",
		"hi": "हिन्दी", "hr": "Hrvatski", "hu": "Magyar", "hy": "Հայերեն", "id": "Bahasa Indonesia", "it": "Italiano",
		"ja": "日本語", "ka": "ქართული", "kmr": "Kurmancî", "ko": "한국어", "ku": "Kurdî", "lt": "Lietuvių", "lv": "Latviešu",
		"mk": "Македонски", "nl": "Nederlands", "no": "Norsk", "pl": "Polski", "prs": "دری", "ps": "پښتو", "pt": "Português",
		"ro": "Română", "ru": "Русский", "sk": "Slovenčina", "sl": "Slovenščina", "so": "Soomaali", "sq": "Shqip",
		"sr": "Српски", "sv": "Svenska", "sw": "Kiswahili", "ti": "ትግርኛ", "tr": "Türkçe", "uk": "Українська", "ur": "اردو",
		"vi": "Tiếng Việt", "zh": "中文", "zh-cn": "简体中文", "zh-hans": "简体中文", "zh-hant": "繁體中文",
	}[strings.ToLower(code)]
}
