// What heat and the battery allow, as Apple's systems tell it.

#if canImport(Darwin)
import Foundation

extension Thermal {
    /// What `ProcessInfo.processInfo.thermalState` says.
    public init(_ state: ProcessInfo.ThermalState) {
        self =
            switch state {
            case .nominal: .nominal
            case .fair: .fair
            case .serious: .serious
            case .critical: .critical
            @unknown default: .serious
            }
    }
}

extension LiveSearch {
    /// Slows a live search down as the phone gets warm or saves its battery, until the task that this runs in is
    /// cancelled:
    ///
    ///     .task { await live.followPower() }
    public func followPower() async {
        let changes = [ProcessInfo.thermalStateDidChangeNotification, .NSProcessInfoPowerStateDidChange]
        await withTaskGroup(of: Void.self) { group in
            for change in changes {
                group.addTask {
                    self.readPower()
                    for await _ in NotificationCenter.default.notifications(named: change).map({ _ in () }) {
                        self.readPower()
                    }
                }
            }
        }
    }

    private func readPower() {
        let process = ProcessInfo.processInfo
        setThermal(Thermal(process.thermalState))
        setSaving(process.isLowPowerModeEnabled)
    }
}
#endif
