/**
 * Every control of the page. Nothing else styles controls, and nothing else has colors or sizes: those are in tokens.css.
 * The head of each file describes its props. Here is the list, `?` marks what has a default, `$` what can be bound.
 *
 * Actions
 *   Button       variant?: 'primary'|'secondary'|'ghost'|'danger'|'danger-filled' (secondary)  size?: 'md'|'sm'  href?  icon?
 *                reason?: why it is disabled (a tooltip)  busy?: what it waits for  type?  onclick  children  …attributes
 *   IconButton   icon  label  variant?: 'ghost'|'secondary'|'danger'  size?  href?  reason?  busy?  pressed?  keys?  onclick
 *   CopyButton   text  label? ('Copy')  icononly?
 *   Menu         items: MenuItem[]  label  icon?  trigger?: snippet({ props })  align?
 *
 * Fields: each has id?, and takes label, help and error from a Field around it
 *   Field        label  help?  error?  source? ('environment' …)  locked?: why it cannot be changed  optional?  default?
 *                children: snippet({ id, describedby, invalid, disabled }): pass all four to the control
 *   TextField    $value: string  type?  placeholder?  mono?  prefix?  suffix?  invalid?  describedby?  disabled?  …attributes
 *   TextArea     $value  rows?  mono?  bare?: in a box with `boxClass`  $element?  …as TextField
 *   NumberField  $value: number|null  min?  max?  step?  unit?  placeholder? (the default)  …as TextField
 *   SearchField  $value  label  placeholder?  onsearch?(text): after 150 ms without a key  keys?: focuses it
 *   Select       $value: string  options: Option[]  label?  placeholder?  disabled?  invalid?  onchange?(value)
 *   Combobox     $value  options  label  placeholder?  onchange?  onhighlight?(value|null): what is pointed at, for the ghost
 *                empty?: text without a match  item?: snippet(option)
 *   Switch       $checked  label  help?  reason?  hiddenlabel?  onchange?(checked)
 *   Checkbox     $checked  label  indeterminate?  reason?  hiddenlabel?  onchange?
 *   RadioGroup   $value  options  label  onchange?
 *   Segmented    $value  options  label  size?  onchange?
 *   ColorPicker  $value: '1' to '8', or ''  label  onchange?
 *   Slider       $value: number  min  max  step?  label  hiddenlabel?  marks?: { value, label }[]  format?(value)  reason?  onchange?  oncommit?
 *
 * Layers
 *   Dialog         $open  title  description?  size?: 'md'|'lg'  bare?  children  footer?: snippet(close)
 *   ConfirmDialog  $open  title  action: the verb  children?: what will be lost  danger?  busy?  error?  onconfirm (the caller closes it)
 *   Sheet          $open  title  side?: 'right'|'bottom'  children  footer?: snippet(close)  (right; at the bottom in narrow windows)
 *   Popover        label  trigger: snippet({ props })  children  align?  $open?
 *   Tooltip        text  keys?  children: snippet({ props }): spread the props on the element
 *   Toasts         in the layout; toasts.add({ title, detail?, tone?, action?: { label, onselect }, href?, undo? }), toasts.problem(problem)
 *
 * Structure
 *   PageHeader   title (the h1, and the title of the window)  detail?  back?: { href, label }  mono?  lead?  actions?  children?: a second line
 *   Section      title  detail?  actions?  children  level?: 2|3
 *   Tabs         $value  tabs: { value, label, count? }[]  label  children: snippet(value)  onchange?
 *   Splitter     $value: px of the part after it  min  max  label
 *   Disclosure   label  detail?  $open?  children  icon?  head?: snippet in place of the label  compact?: a line of a text
 *   Table        columns: Column[]  rows  key(row)  row: snippet(row)  label  $sort?  onsort?  onopen?(row)  empty?  compact?  lead?
 *                the children of `row` are TableCell (column: its key, mono?, title?), one for each column
 *   VirtualList  items  row: snippet(item, index)  rowHeight? (20)  key(item, index)  label  $follow?  role?: 'list'|'log'  (10,000+ rows)
 *                bind:this: reveal(index), scrollToEnd()
 *   HeldRows     count  noun? ('new')  onshow: the row '3 new' of lists that update
 *   EmptyState   title  detail?  icon?  actions?
 *   Problem      problem: ProblemLike  onretry?  compact?  action?: the one remedy
 *   Skeleton     lines?  height?  after 150 ms
 *   Offline      offline  children: dimmed, and its controls disabled
 *
 * Data
 *   Icon  icon  size?   ·   Chip  label  $pressed?  count?  onclick?  onremove?  reason?   ·   Badge  tone?  icon?  children
 *   State        tone  icon?  label  detail?  live?: announces changes
 *   Swatch       color: ModelColor  label?
 *   Bytes value  ·  Count value, unit?  ·  Duration seconds|ms  ·  Uptime since  ·  Ago ms (since the epoch), empty?  ·  Rate value, unit
 *   Value        text: a formatted number with its unit; a dash stands for null in all of these
 *   Progress     value|null  max  label  text?  tone?       ·   Meter  value  max  label  text?  color?  parts?: { value, color?, soft?, label }[]
 *   Sparkline    points: (number|null)[]  label  color?  max?  length? (60)
 *   TimeChart    times: number[] (ms)  series: Series[]  label  format?(value)  from?  to?  height? (rem)  max?
 *   Code         text  label?  $wrap?  copy?  maxHeight?  actions?  content?  instead?: snippets   ·   Kbd  keys ('mod+k', 'g s', '?')
 */
export { default as Ago } from './Ago.svelte';
export { default as Badge } from './Badge.svelte';
export { default as Button } from './Button.svelte';
export { default as Bytes } from './Bytes.svelte';
export { default as Checkbox } from './Checkbox.svelte';
export { default as Chip } from './Chip.svelte';
export { default as Code } from './Code.svelte';
export { default as ColorPicker } from './ColorPicker.svelte';
export { default as Combobox } from './Combobox.svelte';
export { default as ConfirmDialog } from './ConfirmDialog.svelte';
export { default as CopyButton } from './CopyButton.svelte';
export { default as Count } from './Count.svelte';
export { default as Dialog } from './Dialog.svelte';
export { default as Disclosure } from './Disclosure.svelte';
export { default as Duration } from './Duration.svelte';
export { default as EmptyState } from './EmptyState.svelte';
export { default as Field } from './Field.svelte';
export { default as HeldRows } from './HeldRows.svelte';
export { default as Icon } from './Icon.svelte';
export { default as IconButton } from './IconButton.svelte';
export { default as Kbd } from './Kbd.svelte';
export { default as Menu } from './Menu.svelte';
export { default as Meter } from './Meter.svelte';
export { default as NumberField } from './NumberField.svelte';
export { default as Offline } from './Offline.svelte';
export { default as PageHeader } from './PageHeader.svelte';
export { default as Popover } from './Popover.svelte';
export { default as Problem } from './Problem.svelte';
export { default as Progress } from './Progress.svelte';
export { default as RadioGroup } from './RadioGroup.svelte';
export { default as Rate } from './Rate.svelte';
export { default as SearchField } from './SearchField.svelte';
export { default as Section } from './Section.svelte';
export { default as Segmented } from './Segmented.svelte';
export { default as Select } from './Select.svelte';
export { default as Sheet } from './Sheet.svelte';
export { default as Skeleton } from './Skeleton.svelte';
export { default as Slider } from './Slider.svelte';
export { default as Sparkline } from './Sparkline.svelte';
export { default as Spinner } from './Spinner.svelte';
export { default as Splitter } from './Splitter.svelte';
export { default as State } from './State.svelte';
export { default as Swatch } from './Swatch.svelte';
export { default as Switch } from './Switch.svelte';
export { default as Table } from './Table.svelte';
export { default as TableCell } from './TableCell.svelte';
export { default as Tabs } from './Tabs.svelte';
export { default as TextArea } from './TextArea.svelte';
export { default as TextField } from './TextField.svelte';
export { default as TimeChart } from './TimeChart.svelte';
export { default as Toasts } from './Toasts.svelte';
export { default as Tooltip } from './Tooltip.svelte';
export { default as Uptime } from './Uptime.svelte';
export { default as Value } from './Value.svelte';
export { default as VirtualList } from './VirtualList.svelte';
export { copyText } from './clipboard';
export { chartCursor } from './chart-cursor.svelte';
export { isApple, shownKeys } from './keys';
export { nextUsable } from './listbox';
export { panelDuration } from './motion';
export {
  boxClass,
  colorBackground,
  colorText,
  colorVariable,
  itemClass,
  layerClass,
  modelColor,
  toneBackground,
  toneText,
} from './styles';
export { tooltip } from './tooltip';
export { toasts, type Toast, type ToastOptions } from './toasts.svelte';
export type * from './types';
