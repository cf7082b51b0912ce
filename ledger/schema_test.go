package ledger_test

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/posnode/posnode/schemas"
)

// entrySchema is what posnode publishes of its entries, compiled. Formats are enforced.
var entrySchema = sync.OnceValue(func() *jsonschema.Schema {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	doc := must(jsonschema.UnmarshalJSON(bytes.NewReader(schemas.Whole())))
	if err := c.AddResource(schemas.Base+"entry.json", doc); err != nil {
		panic(err)
	}
	return must(c.Compile(schemas.Base + "entry.json"))
})

// checkSchema says where an entry is not what people are told that entries are.
func checkSchema(body []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = entrySchema().Validate(v)
	}
	if err != nil {
		return fmt.Errorf("an entry was sealed that its schema does not describe: %w\n%s", err, body)
	}
	return nil
}
