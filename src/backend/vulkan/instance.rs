//! The way into Vulkan: the loader, opened at run time, and an instance, ours or the host program's.

use std::borrow::Cow;
use std::ffi::{c_char, c_void, CStr};
use std::sync::Arc;

use ash::vk::{self, Handle};

use super::{refused, Borrowed};
use crate::error::{Error, Result};
use crate::log::Level;
use crate::runtime::Home;

const VALIDATION_LAYER: &CStr = c"VK_LAYER_KHRONOS_validation";

/// An instance.
pub(super) struct Instance {
    pub(super) raw: ash::Instance,
    messages: Option<Messages>,
    borrowed: bool,
    /// The loader, which unloads Vulkan when it goes.
    _entry: ash::Entry,
}

/// Where the validation layers' messages go.
struct Messages {
    loader: ash::ext::debug_utils::Instance,
    messenger: vk::DebugUtilsMessengerEXT,
    /// What the messenger points to.
    _home: Arc<Home>,
}

/// What `RINGKERNEL_VULKAN_VALIDATION` asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Validation {
    Off,
    /// Valid use and synchronization.
    Host,
    /// What shaders do, which takes instrumented shaders; and nothing else, as the layers ask.
    Device,
}

impl Validation {
    fn from_environment() -> Self {
        match std::env::var("RINGKERNEL_VULKAN_VALIDATION").as_deref() {
            Err(_) | Ok("" | "0") => Self::Off,
            Ok("gpu") => Self::Device,
            Ok(_) => Self::Host,
        }
    }

    /// What the layer is to look at.
    fn features(self) -> &'static [vk::ValidationFeatureEnableEXT] {
        match self {
            Self::Off => &[],
            Self::Host => &[vk::ValidationFeatureEnableEXT::SYNCHRONIZATION_VALIDATION],
            Self::Device => &[
                vk::ValidationFeatureEnableEXT::GPU_ASSISTED,
                vk::ValidationFeatureEnableEXT::GPU_ASSISTED_RESERVE_BINDING_SLOT,
            ],
        }
    }

    /// What it is not to look at.
    fn disabled(self) -> &'static [vk::ValidationFeatureDisableEXT] {
        match self {
            Self::Device => &[vk::ValidationFeatureDisableEXT::CORE_CHECKS],
            _ => &[],
        }
    }

    /// What it is to tell. Instrumenting makes it change features and limits, of which it warns.
    fn severity(self) -> vk::DebugUtilsMessageSeverityFlagsEXT {
        use vk::DebugUtilsMessageSeverityFlagsEXT as Severity;
        match self {
            Self::Device => Severity::ERROR,
            _ => Severity::ERROR | Severity::WARNING,
        }
    }
}

impl Instance {
    /// An error says why there is no Vulkan.
    pub(super) fn open(home: &Arc<Home>, borrowed: Option<&Borrowed>) -> Result<Self> {
        let no_vulkan = |error: &dyn std::fmt::Display| Error::NoDevice(format!("there is no Vulkan: {error}"));
        if let Some(borrowed) = borrowed {
            let entry = match borrowed.get_instance_proc_addr {
                // SAFETY: the host program says that it is vkGetInstanceProcAddr.
                Some(get_instance_proc_addr) => unsafe {
                    ash::Entry::from_static_fn(ash::StaticFn { get_instance_proc_addr })
                },
                // SAFETY: loads libvulkan.so.1, whose functions are then those that ash declares.
                None => unsafe { ash::Entry::load() }.map_err(|error| no_vulkan(&error))?,
            };
            // SAFETY: the host program says that this is its instance, and that it outlives the runtime.
            let raw = unsafe { ash::Instance::load(entry.static_fn(), vk::Instance::from_raw(borrowed.instance)) };
            return Ok(Self { raw, messages: None, borrowed: true, _entry: entry });
        }
        // SAFETY: as above.
        let entry = unsafe { ash::Entry::load() }.map_err(|error| no_vulkan(&error))?;
        // SAFETY: the loader is open, here and below.
        let version = unsafe { entry.try_enumerate_instance_version() }.map_err(refused("asking for Vulkan"))?;
        if version.is_none_or(|version| version < vk::API_VERSION_1_2) {
            return Err(no_vulkan(&"the loader is older than Vulkan 1.2"));
        }
        // SAFETY: as above.
        let offered = unsafe { entry.enumerate_instance_extension_properties(None) };
        let offered = offered.map_err(refused("listing Vulkan's extensions"))?;
        let is_offered = |name| offered.iter().any(|one| one.extension_name_as_c_str() == Ok(name));
        let (mut extensions, mut flags) = (Vec::new(), vk::InstanceCreateFlags::empty());
        // Without it drivers that do not conform wholly, such as MoltenVK, are not listed.
        if is_offered(ash::khr::portability_enumeration::NAME) {
            extensions.push(ash::khr::portability_enumeration::NAME.as_ptr());
            flags |= vk::InstanceCreateFlags::ENUMERATE_PORTABILITY_KHR;
        }
        let mut layers: Vec<*const c_char> = Vec::new();
        let validation = Validation::from_environment();
        if validation != Validation::Off {
            // SAFETY: as above.
            let present = unsafe { entry.enumerate_instance_layer_properties() };
            let present = present.map_err(refused("listing Vulkan's layers"))?;
            if !present.iter().any(|layer| layer.layer_name_as_c_str() == Ok(VALIDATION_LAYER)) {
                return Err(Error::Unsupported(
                    "RINGKERNEL_VULKAN_VALIDATION is set, the layer is not installed".into(),
                ));
            }
            layers.push(VALIDATION_LAYER.as_ptr());
            extensions.push(ash::ext::debug_utils::NAME.as_ptr());
        }
        let application = vk::ApplicationInfo::default().engine_name(c"ringkernel").api_version(vk::API_VERSION_1_2);
        let mut wanted = vk::ValidationFeaturesEXT::default()
            .enabled_validation_features(validation.features())
            .disabled_validation_features(validation.disabled());
        let mut info = vk::InstanceCreateInfo::default()
            .flags(flags)
            .application_info(&application)
            .enabled_extension_names(&extensions)
            .enabled_layer_names(&layers);
        if validation != Validation::Off {
            info = info.push_next(&mut wanted);
        }
        // SAFETY: the structs are whole and outlive the call.
        let raw = match unsafe { entry.create_instance(&info, None) } {
            Err(vk::Result::ERROR_INCOMPATIBLE_DRIVER) => return Err(no_vulkan(&"no driver is installed")),
            made => made.map_err(refused("creating a Vulkan instance"))?,
        };
        let mut instance = Self { raw, messages: None, borrowed: false, _entry: entry };
        if validation != Validation::Off {
            instance.messages = Some(Messages::new(&instance, home, validation)?);
        }
        Ok(instance)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(messages) = self.messages.take() {
            // SAFETY: made by us and destroyed once.
            unsafe { messages.loader.destroy_debug_utils_messenger(messages.messenger, None) };
        }
        if !self.borrowed {
            // SAFETY: made by us; everything made with it has kept it alive until here.
            unsafe { self.raw.destroy_instance(None) };
        }
    }
}

impl Messages {
    fn new(instance: &Instance, home: &Arc<Home>, validation: Validation) -> Result<Self> {
        use vk::DebugUtilsMessageTypeFlagsEXT as Kind;
        let loader = ash::ext::debug_utils::Instance::new(&instance._entry, &instance.raw);
        let home = home.clone();
        let info = vk::DebugUtilsMessengerCreateInfoEXT::default()
            .message_severity(validation.severity())
            .message_type(Kind::VALIDATION)
            .pfn_user_callback(Some(pass_on))
            .user_data(Arc::as_ptr(&home).cast_mut().cast());
        // SAFETY: the struct is whole, and what it points to lives as long as the messenger.
        let messenger = unsafe { loader.create_debug_utils_messenger(&info, None) }.map_err(refused("a messenger"))?;
        Ok(Self { loader, messenger, _home: home })
    }
}

/// A message of the layers, to the host program's log.
unsafe extern "system" fn pass_on(
    severity: vk::DebugUtilsMessageSeverityFlagsEXT,
    _kind: vk::DebugUtilsMessageTypeFlagsEXT,
    data: *const vk::DebugUtilsMessengerCallbackDataEXT<'_>,
    user: *mut c_void,
) -> vk::Bool32 {
    let is_error = severity.contains(vk::DebugUtilsMessageSeverityFlagsEXT::ERROR);
    let level = if is_error { Level::Error } else { Level::Warn };
    // Nothing may unwind into the layer.
    let _logged = std::panic::catch_unwind(|| {
        // SAFETY: `user` is the home that the messenger was made with, which it outlives; the layer's data is whole.
        let (home, data) = unsafe { (&*user.cast::<Home>(), data.as_ref()) };
        // SAFETY: the message is NULL or a string that is there during the call.
        let text =
            data.and_then(|data| unsafe { data.message_as_c_str() }).map_or(Cow::Borrowed(""), CStr::to_string_lossy);
        home.log.write(level, format_args!("Vulkan validation: {text}"));
    });
    vk::FALSE
}
