package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"github.com/posnode/posnode/events"
)

// Head office answers a register on the subject that the register names. No answer may reach a
// stream, an API of the server or another register. So answers have a user of their own. It may
// hear the questions of registers and publish below down.*.reply. and nothing else. The servers
// enforce that; see docs/decisions/0019-answers-come-from-a-user-of-their-own.md.

// answersCreds is the name of the file with that user's credentials. An instance without keys has
// it beside head office's own credentials.
const answersCreds = "answers.creds"

// answerRights returns all rights of the connection that answers registers.
func answerRights() jwt.Permissions {
	var p jwt.Permissions
	p.Sub.Allow.Add(askSubject("*", "*"), repairSubject("*"))
	p.Pub.Allow.Add("down.*.reply.>")
	return p
}

// ownRights returns all rights of the connection with which head office keeps its streams. No right
// deletes a stream or an entry, except in the bucket of imports.
func ownRights() jwt.Permissions {
	var p jwt.Permissions
	p.Sub.Allow.Add(hqInbox+".>", resetReply("*")+".*")
	p.Pub.Allow.Add(
		fleetMembers, "mark.>", storedRepair("*"), referenceSubjects, journalSubjects(HeadOffice), "$O."+importsBucket+".>",
		"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST",
		"$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.UPDATE.*", "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*",
		"$JS.API.STREAM.LEADER.STEPDOWN.*", "$JS.API.STREAM.PURGE.OBJ_"+importsBucket,
		"$JS.API.DIRECT.GET.>", "$JS.API.CONSUMER.>",
		"$JS.FC.hq.>",                   // answers a server's flow control, so that it goes on sending
		"$JS.*.API.CONSUMER.RESET.*.hq", // resets a register's consumer to a sequence
	)
	return p
}

// systemRights returns all rights of head office in the servers' own account. It may ask for the
// links, and read and replace an account of the fleet.
func systemRights() jwt.Permissions {
	var p jwt.Permissions
	p.Sub.Allow.Add(systemInbox + ".>")
	p.Pub.Allow.Add("$SYS.REQ.SERVER.PING.*", "$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP", "$SYS.REQ.CLAIMS.UPDATE")
	return p
}

// answersUser returns how the answering connection signs on.
func (h *HQNode) answersUser() (nats.Option, error) {
	if h.keys != nil {
		return h.keys.answersUser()
	}
	path := filepath.Join(filepath.Dir(h.cfg.Creds), answersCreds)
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		// The cluster was initialised by an older version. The check in readAsked holds here too.
		h.log.Warn("head office answers registers with all rights that its own credentials have: copy the file "+answersCreds+
			" of an instance with keys beside them", "creds", h.cfg.Creds)
		return nats.UserCredentials(h.cfg.Creds), nil
	}
	if err != nil {
		return nil, err
	}
	return nats.UserCredentials(path), nil
}

// writeAnswersCreds writes the credentials for answers into the directory of an instance with keys,
// to be copied to instances without keys. A cluster that an older version initialised has none.
func (h *HQNode) writeAnswersCreds() error {
	path := filepath.Join(h.cfg.Dir, answersCreds)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	creds, err := h.keys.answersCreds()
	if err != nil {
		return err
	}
	return WriteFileDurably(path, creds)
}

// plainSubject matches the allowed rest of an answer's subject behind down.<register>.reply.
var plainSubject = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,3}$`)

// asked is a question of a register. Its answer goes to this register and this subject alone.
type asked struct {
	register events.Register
	reply    string
	msg      *nats.Msg
}

// readAsked reads the asking register from the subject of a question, and checks the reply subject.
// A question with a reply subject that is not the asker's own is refused without an answer, because
// there is nowhere to send one.
func readAsked(m *nats.Msg) (asked, error) {
	name, _, _ := strings.Cut(strings.TrimPrefix(m.Subject, "up."), ".")
	r, err := events.ParseRegister(name)
	if err != nil {
		return asked{}, fmt.Errorf("question on %s: %w", m.Subject, err)
	}
	rest, below := strings.CutPrefix(m.Reply, replyPrefix(r)+".")
	if !below || !plainSubject.MatchString(rest) {
		return asked{register: r}, fmt.Errorf("question refused: its reply subject %.100q is not below %s.", m.Reply, replyPrefix(r))
	}
	return asked{r, m.Reply, m}, nil
}

// send publishes an answer.
func (h *HQNode) send(a asked, data []byte, header nats.Header) error {
	if err := h.answers.PublishMsg(&nats.Msg{Subject: a.reply, Data: data, Header: header}); err != nil {
		return fmt.Errorf("answer %s: %w", a.register, err)
	}
	return nil
}
