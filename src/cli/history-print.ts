/**
 * The history of a key with its values, in print: rows as those of a search, and behind each what the key was then. For
 * people a value is cut where the line gets long; as JSON it is whole, and written piece by piece.
 */
import type { HistoryEvent, ValueEvent } from '../inspect/key-history.ts';
import { elided } from './command-text.ts';
import { PieceSender } from './export/piece-sender.ts';
import { heading, jsonLine, textLine } from './find-print.ts';
import type { Printer } from './search.ts';
import { TextSender } from './text-sender.ts';
import { valueJson, valueText } from './value-print.ts';
import type { VerbContext } from './verb.ts';

/** Of a line that no terminal cuts. */
const widthMost = 1_000_000;

export class HistoryPrinter implements Printer<HistoryEvent> {
  readonly #key: Buffer;
  readonly #sender: PieceSender;
  readonly #width: number;
  readonly #isJson: boolean;
  #heading: string;

  constructor({ io, layers, output }: VerbContext, key: Buffer) {
    this.#key = key;
    this.#sender = new PieceSender(new TextSender(io.stdout));
    this.#width = (io.stdout.isTTY === true ? io.stdout.columns : undefined) ?? widthMost;
    this.#isJson = layers.values.json;
    this.#heading = this.#isJson ? '' : `${output.style('bold', heading())}\n`;
  }

  async print(event: HistoryEvent): Promise<boolean> {
    if (event.kind === 'value') return this.value(event);
    this.#sender.add(this.#heading);
    this.#heading = '';
    this.#sender.add(this.#isJson ? jsonLine(event, elided) : textLine(event, elided));
    return !this.#sender.isFull || this.flush();
  }

  async value(event: ValueEvent): Promise<boolean> {
    const pieces = this.#isJson ? valueJson(this.#key, event) : [valueText(event, this.#width)];
    for (const piece of pieces) {
      this.#sender.add(piece);
      if (this.#sender.isFull && !(await this.flush())) return false;
    }
    return true;
  }

  flush(): Promise<boolean> {
    return this.#sender.flush();
  }
}
