package receipts

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"

	"github.com/boombuler/barcode/qr"
)

const (
	qrModule = 4 // dots a module: 0.5 mm on a printer of 203 dots an inch
	qrQuiet  = 4 // modules of white around it, as the standard wants
)

// QR draws a signed checkpoint as a QR code: a PNG in black and white. A scanner reads it as the
// note, letter by letter.
func QR(checkpoint string) ([]byte, error) {
	code, err := qr.Encode(checkpoint, qr.M, qr.Unicode)
	if err != nil {
		return nil, fmt.Errorf("draw checkpoint of %d bytes: %w", len(checkpoint), err)
	}
	modules := code.Bounds().Dx()
	side := (modules + 2*qrQuiet) * qrModule
	img := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range modules * qrModule {
		for x := range modules * qrModule {
			if r, _, _, _ := code.At(x/qrModule, y/qrModule).RGBA(); r == 0 {
				img.SetColorIndex(x+qrQuiet*qrModule, y+qrQuiet*qrModule, 1)
			}
		}
	}
	var out bytes.Buffer
	err = png.Encode(&out, img)
	return out.Bytes(), err
}
