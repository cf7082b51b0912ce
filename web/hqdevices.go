package web

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/hq"
	"github.com/posnode/posnode/ledger"
)

// devices registers the routes that allow registers to link to head office, or stop them.
func (a *hqAPI) devices(api huma.API) {
	huma.Post(api, "/v1/registers/{register}/code", a.code)
	huma.Post(api, "/v1/registers/{register}/revoke", a.revoke)
	huma.Post(api, "/v1/registers/{register}/expect", a.expect)
	huma.Post(api, "/v1/registers/{register}/confirm-key", a.confirmKey)
	huma.Get(api, "/v1/exceptions", list(a.hq.Exceptions))
}

type codeInput struct {
	Register string `path:"register" doc:"store-register, such as s001-r01"`
	Body     struct {
		ValidSeconds int `json:"valid_seconds" minimum:"1" maximum:"2592000" doc:"for how long the code can be used"`
	}
}

func (a *hqAPI) code(ctx context.Context, in *codeInput) (*body[hq.Code], error) {
	r, err := registerNamed(in.Register)
	if err != nil {
		return nil, err
	}
	code, err := a.hq.NewCode(ctx, r, time.Duration(in.Body.ValidSeconds)*time.Second)
	return &body[hq.Code]{code}, err
}

type revokeInput struct {
	Register string `path:"register" doc:"store-register, such as s001-r01"`
	Body     struct {
		Why string `json:"why" maxLength:"200" doc:"for whoever reads head office's journal"`
	}
}

func (a *hqAPI) revoke(ctx context.Context, in *revokeInput) (*struct{}, error) {
	r, err := registerNamed(in.Register)
	if err != nil {
		return nil, err
	}
	return nil, a.hq.RevokeRegister(ctx, r, in.Body.Why)
}

type confirmKeyInput struct {
	Register string `path:"register" doc:"store-register, such as s001-r01"`
	Body     struct {
		Key string `json:"key" maxLength:"40" doc:"fingerprint of the key, as the register's status shows it"`
		Who string `json:"who,omitempty" maxLength:"100" doc:"who has compared it"`
	}
}

type confirmedKey struct {
	Epoch int `json:"epoch" doc:"whose key it is"`
}

func (a *hqAPI) confirmKey(ctx context.Context, in *confirmKeyInput) (*body[confirmedKey], error) {
	r, err := registerNamed(in.Register)
	if err != nil {
		return nil, err
	}
	epoch, err := a.hq.ConfirmKey(ctx, r, in.Body.Key, in.Body.Who)
	return &body[confirmedKey]{confirmedKey{epoch}}, err
}

type registerInput struct {
	Register string `path:"register" doc:"store-register, such as s001-r01"`
}

func (a *hqAPI) expect(ctx context.Context, in *registerInput) (*struct{}, error) {
	r, err := registerNamed(in.Register)
	if err != nil {
		return nil, err
	}
	return nil, a.hq.Expect(ctx, r)
}

func registerNamed(name string) (events.Register, error) {
	r, err := events.ParseRegister(name)
	if err != nil {
		return r, &ledger.Refusal{Code: "invalid_parameter", Parameter: "register", Why: "register: " + err.Error()}
	}
	return r, nil
}
