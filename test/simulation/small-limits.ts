// Limits of the simulated journal, small enough to be reached by the little that a simulated primary writes.
export const queueBytesMax: number = 24 * 1024;
export const commitBytesSoon: number = 2 * 1024;
export const segmentSecondsMax = 20;
