// Numbers and times as people read them. Pure.

/** A number with as many digits behind the point as a step has, such as 0.10 → 2 at most 10. */
export function digitsOf(step: number | null | undefined): number {
  if (!step || step <= 0 || step >= 1) {
    return step && step >= 1 ? 0 : 2;
  }
  for (let digits = 1; digits <= 10; digits += 1) {
    const scaled = step * 10 ** digits;
    if (scaled > 0.5 && Math.abs(scaled - Math.round(scaled)) < 1e-6) {
      return digits;
    }
  }
  return 10;
}

/** A price with a fixed number of digits. */
export function price(value: number, digits: number): string {
  return value.toFixed(digits);
}

/** A quantity without needless zeros, plain notation. */
export function quantity(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 8, useGrouping: false });
}

/** Time of day, UTC. */
export function clock(millis: number): string {
  return new Date(millis).toISOString().slice(11, 19);
}

/** A count, short: 1,234 → 1,234; 1,234,567 → 1.23M. */
export function count(value: number): string {
  if (value < 1e6) {
    return value.toLocaleString('en-US');
  }
  const [size, unit] = value < 1e9 ? [1e6, 'M'] : [1e9, 'G'];
  return `${(value / size).toFixed(2)}${unit}`;
}

/** A span of seconds in its two largest units. */
export function span(seconds: number): string {
  const units: [number, string][] = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'm'],
    [1, 's'],
  ];
  const at = units.findIndex(([size]) => seconds >= size);
  if (at < 0) {
    return '0s';
  }
  let rest = Math.floor(seconds);
  return units
    .slice(at, at + 2)
    .map(([size, unit]) => {
      const whole = Math.floor(rest / size);
      rest -= whole * size;
      return whole > 0 ? `${whole}${unit}` : '';
    })
    .filter((part) => part !== '')
    .join(' ');
}
