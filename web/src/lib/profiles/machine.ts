/** What this machine and this model add to the fields of a profile. */
import type { LocalModel, SystemInfo } from '$lib/api';
import type { Option } from '$lib/ui';

const names: Readonly<Record<string, string>> = { cpu: 'CPU', metal: 'GPU (Metal)' };

/** The devices of this machine. */
export function deviceOptions(info: SystemInfo | null): Option[] {
  const devices = info?.devices ?? ['cpu'];
  const options = devices.map((device): Option => ({ value: device, label: names[device] ?? device }));
  return [{ value: '', label: 'Automatic' }, ...options];
}

/** The parsers that were detected for the model, by path of their field. */
export function detectedNotes(model: LocalModel | undefined): Readonly<Record<string, string>> {
  const characteristics = model?.characteristics;
  if (!characteristics) return {};
  const note = (parser: string | null | undefined): string =>
    parser == null ? 'None was detected for this model.' : `Detected for this model: ${parser}.`;
  return {
    'load.tool_call_parser': note(characteristics.tool_call_parser),
    'load.reasoning_parser': note(characteristics.reasoning_parser),
  };
}
