package web

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/hq"
)

// verification registers the routes for the status of registers, certificates, findings and
// periods.
func (a *hqAPI) verification(api huma.API) {
	huma.Get(api, "/v1/registers", list(a.hq.Registers))
	huma.Get(api, "/v1/key", a.key)
	huma.Get(api, "/v1/certificates/{register}/{date}", a.certificate)
	huma.Post(api, "/v1/findings/{id}/accept", a.accept)
	huma.Post(api, "/v1/periods", a.closePeriod)
}

type witnessKey struct {
	Key string `json:"key" doc:"Verifies head office's marks and certificates."`
}

func (a *hqAPI) key(context.Context, *struct{}) (*body[witnessKey], error) {
	return &body[witnessKey]{witnessKey{a.hq.Key()}}, nil
}

type dayPath struct {
	Register string `path:"register" maxLength:"33" doc:"STORE-REGISTER"`
	Date     string `path:"date" maxLength:"10" doc:"Business date, YYYY-MM-DD"`
}

// Certified is a certificate, or the obstacles to it.
type Certified struct {
	Certificate *events.CompletenessCertified `json:"certificate,omitempty"`
	Obstacles   []hq.Obstacle                 `json:"obstacles"`
}

func (a *hqAPI) certificate(ctx context.Context, in *dayPath) (*body[Certified], error) {
	r, err := registerNamed(in.Register)
	if err != nil {
		return nil, err
	}
	c, obstacles, err := a.hq.Certify(ctx, r, in.Date)
	if obstacles == nil {
		obstacles = []hq.Obstacle{}
	}
	return &body[Certified]{Certified{c, obstacles}}, err
}

type acceptance struct {
	ID   int64 `path:"id"`
	Body struct {
		Why string `json:"why" maxLength:"1000" doc:"What was found out about it."`
		Who string `json:"who,omitempty" maxLength:"100" doc:"Who accepts it."`
	}
}

func (a *hqAPI) accept(ctx context.Context, in *acceptance) (*struct{}, error) {
	return nil, a.hq.Accept(ctx, in.ID, in.Body.Who, in.Body.Why)
}

type period struct {
	Body struct {
		From    string           `json:"from" maxLength:"10" doc:"First business date, YYYY-MM-DD"`
		To      string           `json:"to" maxLength:"10" doc:"Last business date"`
		LeftOut []events.LeftOut `json:"left_out,omitempty" maxItems:"1000" doc:"Registers that can never be complete, and why"`
	}
}

func (a *hqAPI) closePeriod(ctx context.Context, in *period) (*body[*events.PeriodClosed], error) {
	closed, err := a.hq.ClosePeriod(ctx, in.Body.From, in.Body.To, in.Body.LeftOut)
	return &body[*events.PeriodClosed]{closed}, err
}
