package reception

import (
	"maps"
	"strings"
)

// Texts are what an app shows, in one language. An empty one leaves the built-in
// text; "-" means that there is none.
type Texts struct {
	Away     string `json:"away,omitempty"`     // nobody is there at the moment
	Closed   string `json:"closed,omitempty"`   // the conversation was closed
	Reopened string `json:"reopened,omitempty"` // it goes on after it was closed
	Role     string `json:"role,omitempty"`     // in place of agents' names
}

func (t Texts) away() string     { return t.Away }
func (t Texts) closed() string   { return t.Closed }
func (t Texts) reopened() string { return t.Reopened }
func (t Texts) role() string     { return t.Role }

// fallback is the language of those for whose own there is no text.
const fallback = "en"

// none is written where a text is not wanted.
const none = "-"

// AwayText says in a language that nobody is there.
func (r *Rules) AwayText(language string) string { return r.text(language, Texts.away) }

// ClosedText says in a language that the conversation was closed.
func (r *Rules) ClosedText(language string) string { return r.text(language, Texts.closed) }

// ReopenedText says in a language that the conversation goes on.
func (r *Rules) ReopenedText(language string) string { return r.text(language, Texts.reopened) }

// text finds a text: the region's own before the built-in one, and that of the
// language before that of its base (de for de-si) and English.
func (r *Rules) text(language string, of func(Texts) string) string {
	base, _, _ := strings.Cut(language, "-")
	for _, code := range [...]string{language, base, fallback} {
		for _, texts := range [...]Texts{r.Texts[code], builtin[code]} {
			switch text := of(texts); text {
			case "":
			case none:
				return ""
			default:
				return text
			}
		}
	}
	return ""
}

// builtin are the texts of regions that have none of their own. Nothing writes
// to them.
var builtin = map[string]Texts{
	"de": {
		Away:     "Im Moment ist niemand da. Sie können trotzdem schreiben: Wir antworten, sobald wir wieder da sind.",
		Closed:   "Dieses Gespräch wurde beendet. Wenn Sie wieder schreiben, geht es weiter.",
		Reopened: "Das Gespräch geht weiter.",
		Role:     "Beratung",
	},
	"en": {
		Away:     "Nobody is here at the moment. You can write all the same: we will answer as soon as we are back.",
		Closed:   "This conversation was closed. If you write again, it goes on.",
		Reopened: "The conversation goes on.",
		Role:     "Counseling",
	},
	"ar": {
		Away:     "لا يوجد أحد هنا في الوقت الحالي. يمكنك الكتابة رغم ذلك، وسنرد عليك حالما نعود.",
		Closed:   "تم إنهاء هذه المحادثة. إذا كتبت مرة أخرى فستستمر.",
		Reopened: "المحادثة مستمرة.",
		Role:     "الاستشارة",
	},
	"uk": {
		Away:     "Зараз нікого немає на місці. Ви все одно можете написати: ми відповімо, щойно повернемося.",
		Closed:   "Цю розмову завершено. Якщо ви напишете знову, вона продовжиться.",
		Reopened: "Розмова продовжується.",
		Role:     "Консультація",
	},
	"ru": {
		Away:     "Сейчас никого нет на месте. Вы всё равно можете написать: мы ответим, как только вернёмся.",
		Closed:   "Этот разговор завершён. Если вы напишете снова, он продолжится.",
		Reopened: "Разговор продолжается.",
		Role:     "Консультация",
	},
	"tr": {
		Away:     "Şu anda burada kimse yok. Yine de yazabilirsiniz: Döner dönmez yanıtlayacağız.",
		Closed:   "Bu görüşme kapatıldı. Yeniden yazarsanız devam eder.",
		Reopened: "Görüşme devam ediyor.",
		Role:     "Danışmanlık",
	},
	"fa": {
		Away:     "در حال حاضر کسی اینجا نیست. با این حال می\u200cتوانید بنویسید: به محض بازگشت پاسخ می\u200cدهیم.",
		Closed:   "این گفتگو بسته شد. اگر دوباره بنویسید، ادامه پیدا می\u200cکند.",
		Reopened: "گفتگو ادامه دارد.",
		Role:     "مشاوره",
	},
	"fr": {
		Away:     "Il n’y a personne pour le moment. Vous pouvez tout de même écrire : nous répondrons dès notre retour.",
		Closed:   "Cette conversation a été fermée. Si vous écrivez de nouveau, elle reprend.",
		Reopened: "La conversation reprend.",
		Role:     "Conseil",
	},
}

// WithTexts gives rules in which a language has these texts. The map is a new
// one, since rules are shared; texts that are all empty are left out.
func (r Rules) WithTexts(language string, texts Texts) Rules {
	all := maps.Clone(r.Texts)
	if all == nil {
		all = make(map[string]Texts)
	}
	all[language] = texts
	if texts == (Texts{}) {
		delete(all, language)
	}
	if len(all) == 0 {
		all = nil
	}
	r.Texts = all
	return r
}
