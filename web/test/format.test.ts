import { describe, expect, test } from 'vitest';
import { clock, count, digitsOf, price, quantity, span } from '../src/format';

describe('numbers and times', () => {
  test.each([
    [0.1, 1],
    [0.01, 2],
    [0.00000001, 8],
    [0.005, 3],
    [1, 0],
    [10, 0],
    [null, 2],
    [0, 2],
  ])('a step of %s has %s digits', (step, expected) => expect(digitsOf(step)).toBe(expected));

  test('prices keep their digits and quantities lose needless ones', () => {
    expect(price(61837.6, 2)).toBe('61837.60');
    expect(quantity(0.0000001)).toBe('0.0000001');
    expect(quantity(1200)).toBe('1200');
  });

  test('times are UTC', () => expect(clock(1_723_161_255_342)).toBe('23:54:15'));

  test.each([
    [999_999, '999,999'],
    [1_234_567, '1.23M'],
    [36_000_000_000, '36.00G'],
  ])('%s is shown as %s', (value, expected) => expect(count(value)).toBe(expected));

  test.each([
    [0, '0s'],
    [59, '59s'],
    [60, '1m'],
    [3_661, '1h 1m'],
    [90_000, '1d 1h'],
  ])('%s seconds are %s', (value, expected) => expect(span(value)).toBe(expected));
});
