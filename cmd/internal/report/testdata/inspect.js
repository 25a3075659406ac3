(() => {
	for (const details of document.querySelectorAll("details")) details.open = true

	const channels = colour => (colour.match(/[\d.]+/g) ?? []).map(Number)
	const luminance = ([r, g, b]) => {
		const [x, y, z] = [r, g, b].map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
		return 0.2126 * x + 0.7152 * y + 0.0722 * z
	}
	const contrast = (a, b) => {
		const [x, y] = [luminance(a), luminance(b)].sort((m, n) => n - m)
		return (x + 0.05) / (y + 0.05)
	}
	const ground = element => {
		for (let e = element; e; e = e.parentElement) {
			const colour = channels(getComputedStyle(e).backgroundColor)
			if (colour.length == 3 || colour[3] == 1) return colour
		}
		return [255, 255, 255]
	}
	const own = e => [...e.childNodes].filter(n => n.nodeType == Node.TEXT_NODE).map(n => n.data.trim()).join("")
	const shown = e => e.getClientRects().length > 0 && !e.closest("title, style, defs")
	const texts = [...document.body.querySelectorAll("*")].filter(e => shown(e) && own(e))

	const width = document.documentElement.clientWidth
	const overflow = []
	if (document.documentElement.scrollWidth > width) overflow.push(`the page is ${document.documentElement.scrollWidth} px wide`)
	for (const e of texts) {
		if (e.closest(".wide")) continue // scrolls by itself
		const range = document.createRange()
		range.selectNodeContents(e)
		const box = e instanceof SVGElement ? e.getBoundingClientRect() : range.getBoundingClientRect()
		if (box.right > width + 0.5 || box.left < -0.5) overflow.push(`${JSON.stringify(own(e))} stands from ${box.left} to ${box.right} px`)
	}

	// AA of WCAG 2 for text of this size. A label in a figure lies on the band
	// before it, where that is not hatched, and else on the page.
	const faint = []
	for (const e of texts) {
		const style = getComputedStyle(e)
		const svg = e instanceof SVGElement
		let below = ground(e)
		if (svg && e.classList.contains("on")) {
			const fill = getComputedStyle(e.previousElementSibling).fill
			if (!fill.startsWith("rgb")) continue
			below = channels(fill)
		}
		if (e.classList.contains("key")) continue // a swatch
		const ratio = contrast(channels(svg ? style.fill : style.color), below)
		if (ratio < 4.5) faint.push(`${JSON.stringify(own(e))} has a contrast of ${ratio.toFixed(2)}`)
	}

	const covered = []
	for (const marks of document.querySelectorAll(".marks")) {
		const boxes = [...marks.querySelectorAll("text")].filter(shown).map(e => [e.textContent, e.getBoundingClientRect()])
		boxes.forEach(([label, a], i) => boxes.slice(i + 1).forEach(([other, b]) => {
			if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3) covered.push(`the marks ${label} and ${other} lie over one another`)
		}))
	}
	return {paper: getComputedStyle(document.body).backgroundColor, overflow, faint, covered}
})()
