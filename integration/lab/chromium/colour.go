// SPDX-License-Identifier: Apache-2.0

package chromium

import (
	"image"
	"image/color"
)

// Usual returns the most frequent colour of a part of a picture.
func Usual(picture image.Image, part image.Rectangle) color.RGBA {
	counts := make(map[color.RGBA]int)
	var most color.RGBA
	part = part.Intersect(picture.Bounds())
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			c, _ := color.RGBAModel.Convert(picture.At(x, y)).(color.RGBA)
			if counts[c]++; counts[c] > counts[most] {
				most = c
			}
		}
	}
	return most
}
