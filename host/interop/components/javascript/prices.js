// Quotes prices: an ordinary component, which knows nothing of nanohost.
export const quotes = {
  quote(lines, currency, shipping) {
    if (lines.length === 0) throw 'nothing to quote';
    let cents = 0n;
    for (const line of lines) cents += line.cents + (line.options.express ? 500n : 0n);
    if (shipping.tag === 'flat') cents += BigInt(shipping.val);
    if (shipping.tag === 'by-weight') cents += BigInt(Math.ceil(shipping.val[0] * 100));
    return { cents, currency, by: shipping.tag === 'by-weight' ? shipping.val[1] : undefined };
  },
};
